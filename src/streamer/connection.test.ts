import { describe, expect, it } from "vitest";
import { connectEvent, lambdaContext, recordingConnections } from "../lift/testing/index.ts";
import { memoryChannelStore, memoryConnectionStore } from "../store/memory/index.ts";
import { createStreamer } from "./index.ts";

/** The status of a connect with this query. */
async function statusOf(multiValueQueryStringParameters?: Record<string, string[]>): Promise<number> {
  let authenticated = false;
  const streamer = createStreamer({
    channels: { room: { subscribe: () => true } },
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    middleware: [
      (_ctx, next) => {
        authenticated = true;
        return next();
      },
    ],
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    connections: recordingConnections(),
  });
  const event = {
    ...connectEvent(),
    ...(multiValueQueryStringParameters && { multiValueQueryStringParameters }),
  };
  const { statusCode } = (await streamer.app.webSocketHandler()(event, lambdaContext())) as {
    statusCode: number;
  };
  expect(authenticated).toBe(statusCode === 200);
  return statusCode;
}

describe("a client that asks for a version of the protocol", () => {
  it.each([[["2"]], [["0"]], [["1.0"]], [[""]], [["1", "2"]], [["__proto__"]]])(
    "is refused with 400 for %j, before anything else is asked",
    async (protocol) => expect(await statusOf({ protocol })).toBe(400),
  );

  it("is let in for version 1, and without a version", async () => {
    expect(await statusOf({ protocol: ["1"] })).toBe(200);
    expect(await statusOf({ token: ["x"] })).toBe(200);
    expect(await statusOf()).toBe(200);
  });
});
