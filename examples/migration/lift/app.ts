import { type WebSocketAuthOptions, webSocketAuth } from "lift-ws/middleware/auth";
import { createStreamer, type RequestOptions, type StreamerOptions } from "lift-ws/streamer";
import { type MakeReport, makeReport as makeSharedReport, reportInput } from "../report.ts";

export interface ReportsOptions extends Omit<StreamerOptions, "auth" | "channels"> {
  readonly auth: WebSocketAuthOptions;
  readonly makeReport?: MakeReport;
  readonly limits?: Pick<RequestOptions, "timeoutMs" | "retry">;
}

/** Creates the application: all four handlers come from it. */
export function createReports({ auth, makeReport = makeSharedReport, limits, ...options }: ReportsOptions) {
  return createStreamer({ ...options, auth: webSocketAuth(auth), channels: {} })
    .request("echo", {}, (payload) => ({ echo: payload }))
    .request(
      "generate_report",
      { input: reportInput, estimatedMs: 60_000, retry: { attempts: 3 }, ...limits },
      (input, work) => makeReport(input, work),
    );
}
