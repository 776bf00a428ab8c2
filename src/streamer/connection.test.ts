import { describe, expect, it } from "vitest";
import { Lift, type Middleware } from "../lift/index.ts";
import { connectEvent, lambdaContext, recordingConnections } from "../lift/testing/index.ts";
import { memoryChannelStore, memoryConnectionStore } from "../store/memory/index.ts";
import { checkProtocolVersion, createStreamer } from "./index.ts";

/** Connects with this query and returns the status. */
async function statusOf(multiValueQueryStringParameters?: Record<string, string[]>): Promise<number> {
  let authenticated = false;
  const authenticate: Middleware = (_ctx, next) => {
    authenticated = true;
    return next();
  };
  const streamer = createStreamer({
    channels: { room: { subscribe: () => true } },
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    middleware: [Object.assign(authenticate, { phase: "guard" as const })],
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

describe("the protocol version of a connection", () => {
  it.each([[["2"]], [["0"]], [["1.0"]], [[""]], [["1", "2"]], [["__proto__"]]])(
    "is refused with 400 for %j, before any other guard",
    async (protocol) => expect(await statusOf({ protocol })).toBe(400),
  );

  it("is checked in a function for $connect alone, which has no channels", async () => {
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const handler = new Lift({ logger }).use(checkProtocolVersion).webSocketHandler();
    const connect = (version: string) =>
      handler(
        { ...connectEvent(), multiValueQueryStringParameters: { protocol: [version] } },
        lambdaContext(),
      );
    expect(await connect("1")).toMatchObject({ statusCode: 200 });
    expect(await connect("2")).toMatchObject({ statusCode: 400 });
  });

  it("accepts version 1 and a missing version", async () => {
    expect(await statusOf({ protocol: ["1"] })).toBe(200);
    expect(await statusOf({ token: ["x"] })).toBe(200);
    expect(await statusOf()).toBe(200);
  });
});
