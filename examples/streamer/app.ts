import { type WebSocketAuthOptions, webSocketAuth } from "lift-ws/middleware/auth";
import type { ConnectionStore, Schedule } from "lift-ws/store";
import { createStreamer, type Rule, type StreamerOptions } from "lift-ws/streamer";
import { echo, generateReport, processData, processInput, reportInput, tellStory } from "./jobs.ts";

export interface LoungeOptions extends Pick<StreamerOptions, "logger" | "middleware" | "requests" | "store"> {
  /** How to verify tokens, which name a user and a tenant. */
  readonly auth: WebSocketAuthOptions;
  readonly connectionStore: ConnectionStore;
  /** Closes connections whose token expires, and ends streams whose owner has left. */
  readonly schedule: Schedule;
  /** How long the jobs take for each step, in ms. Default 1,000. */
  readonly stepMs?: number;
}

const HOUR_MS = 3_600_000;

const signedIn: Rule = ({ userId }) => userId !== undefined;

/** A channel of ink is named after the user who draws. */
const itsOwner: Rule = ({ userId }, { name }) => userId === name;

/**
 * Creates rooms for a team. Each has a stage on which one user draws live while the others watch. Users have long work done:
 * a report, and data that is processed in stages.
 */
export function createLounge({ auth, stepMs = 1_000, ...rest }: LoungeOptions) {
  const pace = { stepMs };
  // Without a store for requests they are answered in place, within API Gateway's time.
  const long = rest.store.requests === undefined ? {} : { estimatedMs: 60_000 };
  return createStreamer({
    ...rest,
    auth: webSocketAuth(auth),
    channels: {
      room: {
        subscribe: signedIn,
        publish: signedIn,
        presence: true,
        history: { size: 1_000, ageMs: 30 * 24 * HOUR_MS },
        maxBytes: 4_096,
      },
      // The live user of a room, and the number of viewers.
      stage: {
        subscribe: signedIn,
        publish: signedIn,
        // Long enough to reload the page, short enough to watch it end.
        live: { graceMs: 10_000 },
      },
      // Tells a user's windows of each other's jobs. By its name, only that user may subscribe.
      user: { delivery: "at-most-once", subscribe: signedIn, publish: itsOwner, maxBytes: 1_024 },
      // The drawings.
      ink: {
        subscribe: signedIn,
        publish: itsOwner,
        // A picture is its last 100 messages, which a late viewer loads.
        history: { size: 100, ageMs: HOUR_MS },
        maxBytes: 4_096,
      },
    },
  })
    .request("echo", {}, echo)
    .request("generate_report", { ...long, input: reportInput }, (input, context) =>
      generateReport(input, context, pace),
    )
    .request("tell_story", long, (input, context) => tellStory(input, context, pace))
    .request("process_data", { ...long, input: processInput }, (input, context) =>
      processData(input, context, pace),
    );
}
