import { describe, expect, it } from "vitest";
import { jsonLogger, Lift, LiftError } from "../../index.ts";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "../../testing/index.ts";
import { webSocketLogger } from "./logger.ts";

function makeApp(options: Parameters<typeof webSocketLogger>[0] = {}) {
  const lines: string[] = [];
  let now = 0;
  const connections = recordingConnections();
  const app = new Lift({
    connections,
    logger: jsonLogger({ level: "info", write: (_level, line) => lines.push(line) }),
  });
  app.use(webSocketLogger({ now: () => now, ...options }));
  app.webSocket("$connect", (ctx) => {
    now += 12.345;
    ctx.status(ctx.query("token") === undefined ? 401 : 200);
  });
  app.webSocket("greet", (ctx) => void ctx.status(202));
  app.webSocket("status", (ctx) => void ctx.status(Number(ctx.body("status"))));
  app.webSocket("fail", () => {
    throw new LiftError("MINE", { status: 503 });
  });
  const handler = app.webSocketHandler();
  const lambda = lambdaContext();
  return {
    lines,
    handler,
    connect: (query: { [name: string]: string } = {}) => handler(connectEvent({ query }), lambda),
    send: (route: string, body: string) => handler(messageEvent(route, body), lambda),
    disconnect: () => handler(disconnectEvent({ code: 1001, reason: "Going away" }), lambda),
    last: () => JSON.parse(lines.at(-1) ?? "{}") as unknown,
  };
}

const IDS = { requestId: "Ti89OF32joEFbiA=", connectionId: "L0SM9cOFvHcCIhw=" };

describe("the line of an event", () => {
  it("has the address of a refused client and the duration", async () => {
    const { connect, last } = makeApp();
    await connect();
    expect(last()).toEqual({
      level: "warn",
      time: expect.any(String),
      message: "CONNECT",
      ...IDS,
      routeKey: "$connect",
      status: 401,
      ms: 12.35,
      sourceIp: "127.0.0.1",
    });
  });

  it("has a message's size, never its text", async () => {
    const { send, last, lines } = makeApp();
    await send("greet", "grüße");
    expect(last()).toMatchObject({ level: "info", message: "MESSAGE", status: 202, bytes: 7 });
    expect(lines.join()).not.toContain("grü");
  });

  it.each([
    [200, "info"],
    [399, "info"],
    [400, "warn"],
    [499, "warn"],
    [500, "error"],
  ])("has for status %i the level %s", async (status, level) => {
    const { handler, last } = makeApp();
    await handler(messageEvent("status", { status }), lambdaContext());
    expect(last()).toMatchObject({ level, status });
  });

  it("has a duration by the process's clock by default", async () => {
    const { send, last } = makeApp({ now: undefined as never });
    await send("greet", "{}");
    expect(last()).toMatchObject({ ms: expect.any(Number) });
  });

  it("has an error's code, in addition to the error's own line", async () => {
    const { send, last, lines } = makeApp();
    await send("fail", "{}");
    expect(last()).toMatchObject({ level: "error", status: 503, code: "MINE" });
    expect(lines).toHaveLength(2);
  });

  it("has the close code and reason", async () => {
    const { disconnect, last } = makeApp();
    await disconnect();
    expect(last()).toMatchObject({ message: "DISCONNECT", closeCode: 1001, reason: "Going away" });
  });

  it("has no token, whatever the application adds", async () => {
    const { connect, lines, last } = makeApp({
      fields: (ctx) => ({ event: ctx.event, url: "/?token=hunter2" }),
    });
    await connect({ token: "hunter2" });
    expect(last()).toMatchObject({ event: { queryStringParameters: "[redacted]" } });
    expect(lines.join()).not.toContain("hunter2");
  });
});

it("rejects an unknown option", () => {
  expect(() => webSocketLogger({ level: "info" } as never)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION" }),
  );
});
