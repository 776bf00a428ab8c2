import { describe, expect, it, vi } from "vitest";
import type { LambdaCallback, LambdaContext, LambdaHandler, WebSocketEvent } from "../../apigw/index.ts";
import { Lift, LiftError } from "../../lift/index.ts";
import {
  authorizerEvent,
  createTestWebSocketEvent,
  lambdaContext,
  recordingConnections,
} from "../../lift/testing/index.ts";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { type Flag, type Side, type SideEvent, split } from "../index.ts";

const always = (side: Side): Flag => ({ side: async () => side });

const oldHandler = async () => ({ statusCode: 200, body: "old" });
const newHandler = async () => ({ statusCode: 200, body: "new" });
const connect = createTestWebSocketEvent("$connect", "a");

describe("split", () => {
  it.each(["old", "new"] as const)("passes the event and the context to the %s handler", async (side) => {
    const calls: unknown[] = [];
    const record = (name: Side) => async (event: WebSocketEvent, context: LambdaContext) => {
      calls.push([name, event, context]);
      return { statusCode: 204 };
    };
    const context = lambdaContext();
    expect(await split(record("old"), record("new"), always(side))(connect, context)).toEqual({
      statusCode: 204,
    });
    expect(calls).toEqual([[side, connect, context]]);
  });

  it("awaits a handler that calls its callback, with a result or an error", async () => {
    const good = (_event: unknown, _context: unknown, callback: LambdaCallback) => {
      setImmediate(() => callback(null, { statusCode: 401 }));
    };
    const bad = (_event: unknown, _context: unknown, callback: LambdaCallback) => callback("refused");
    expect(await split(good, newHandler, always("old"))(connect, lambdaContext())).toEqual({
      statusCode: 401,
    });
    await expect(split(bad, newHandler, always("old"))(connect, lambdaContext())).rejects.toThrow("refused");
  });

  it("awaits a handler with a callback parameter that returns a promise", async () => {
    const handler = async (_event: unknown, _context: unknown, _callback: LambdaCallback) => "done";
    expect(await split(handler, newHandler, always("old"))(connect, lambdaContext())).toBe("done");
  });

  it("has two parameters, because the Node 24 runtime rejects callbacks", () => {
    expect(split(oldHandler, newHandler, always("old"))).toHaveLength(2);
  });

  it("does not repeat a failed event on the other side", async () => {
    let oldCalls = 0;
    const count = async () => oldCalls++;
    const failing = () => {
      throw new Error("new side failed");
    };
    await expect(split(count, failing, always("new"))(connect, lambdaContext())).rejects.toThrow(
      "new side failed",
    );
    expect(oldCalls).toBe(0);
  });

  it("decides per route key; other routes are on the old side", async () => {
    const handler = split(oldHandler, newHandler, { $connect: always("new"), echo: "new", $default: "old" });
    const bodyOf = async (route: string) => {
      const result = await handler(createTestWebSocketEvent(route, "a", "{}"), lambdaContext());
      return (result as { body: string }).body;
    };
    expect(await bodyOf("$connect")).toBe("new");
    expect(await bodyOf("echo")).toBe("new");
    for (const route of ["$disconnect", "$default", "__proto__", "side"])
      expect(await bodyOf(route)).toBe("old");
  });

  it("decides for an authorizer as for its connection, and passes other events to the old handler", async () => {
    const handler = split(oldHandler, newHandler, always("new"));
    expect(await handler(authorizerEvent(), lambdaContext())).toMatchObject({ body: "new" });
    expect(await handler({ Records: [] }, lambdaContext())).toMatchObject({ body: "old" });
    expect(await handler(undefined, lambdaContext())).toMatchObject({ body: "old" });
  });

  it("runs a new `$connect` beside an old `$disconnect` on one store", async () => {
    const connectionStore = memoryConnectionStore();
    const app = new Lift({ connectionStore });
    app.webSocket("$connect", (ctx) => ctx.set("room", "lobby"));
    let room: unknown;
    const oldDisconnect = async (event: WebSocketEvent) => {
      const { connectionId } = event.requestContext;
      room = (await connectionStore.get(connectionId))?.state.room;
      await connectionStore.delete(connectionId);
      return { statusCode: 200 };
    };
    const handler = split(oldDisconnect, app.webSocketHandler(), { $connect: always("new") });
    const connected = createTestWebSocketEvent("$connect", "a");
    Object.assign(connected.requestContext, { connectedAt: Date.now() });
    expect(await handler(connected, lambdaContext())).toMatchObject({ statusCode: 200 });
    await handler(createTestWebSocketEvent("$disconnect", "a"), lambdaContext());
    expect(room).toBe("lobby");
    expect(await connectionStore.count()).toBe(0);
  });

  it.each([
    ["no new handler", [oldHandler, undefined, always("new")]],
    ["no flag", [oldHandler, newHandler, undefined]],
    ["no routes", [oldHandler, newHandler, {}]],
    ["a percentage instead of a flag", [oldHandler, newHandler, { $connect: 5 }]],
  ])("rejects %s with INVALID_OPTION", (_what, args) => {
    expect(() => split(...(args as [never, never, never]))).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });

  it.each(["USE_LIFT_V2", undefined, 1, {}])("says what to pass in place of %j", (flag) => {
    expect(() => split(oldHandler, newHandler, flag as never)).toThrow(
      "`flag` must be a flag, as `createFlag` returns it, or an object of routes",
    );
  });
});

describe("split with a recorder", () => {
  const disconnect = createTestWebSocketEvent("$disconnect", "a");
  const message = createTestWebSocketEvent("echo", "a");
  const quiet = { debug() {}, info() {}, warn() {}, error() {} };

  async function recordOf(handler: LambdaHandler<never>, event: unknown) {
    const events: SideEvent[] = [];
    const recorder = { record: (each: SideEvent) => void events.push(each) };
    await Promise.allSettled([split(handler, handler, always("new"), { recorder })(event, lambdaContext())]);
    return events;
  }

  it.each([
    ["a 2xx", async () => ({ statusCode: 200 }), false],
    ["a refusal", async () => ({ statusCode: 403 }), false],
    ["a 5xx", async () => ({ statusCode: 500 }), true],
    ["a 5xx in text", async () => ({ statusCode: "503" }), true],
    ["an error", () => Promise.reject(new Error("broken")), true],
  ])("records %s", async (_what, handler, failed) => {
    for (const [event, type] of [
      [connect, "CONNECT"],
      [message, "MESSAGE"],
      [disconnect, "DISCONNECT"],
    ] as const) {
      expect(await recordOf(handler, event)).toEqual([
        { side: "new", event: type, stage: "test", failed, durationMs: expect.any(Number) },
      ]);
    }
  });

  it("records a malformed result as failed, except of $disconnect", async () => {
    const failures = [connect, message, disconnect].map(async (event) => {
      const [recorded] = await recordOf(async () => undefined, event);
      return recorded?.failed;
    });
    expect(await Promise.all(failures)).toEqual([true, true, false]);
  });

  it.each([
    [new TypeError("broken"), true],
    [new LiftError("FORBIDDEN"), false],
  ])("records %s of Lift as failed: %s, although its result says 200", async (error, failed) => {
    const app = new Lift({ connections: recordingConnections(), logger: quiet });
    app.webSocket("echo", () => Promise.reject(error));
    const inner = app.webSocketHandler();
    expect(await recordOf(inner, message)).toMatchObject([{ failed }]);
    // A wrapper may copy both, and return an object of its own.
    const wrapper = async (event: object, context: LambdaContext) => {
      await inner({ ...event } as never, context);
      return { statusCode: 200 };
    };
    expect(await recordOf(wrapper, message)).toMatchObject([{ failed }]);
    expect(await recordOf(async () => ({ statusCode: 200 }), message)).toMatchObject([{ failed: false }]);
  });

  it("records a failure in another copy of this package", async () => {
    vi.resetModules();
    const copy = await import("../../internal/hidden-failures.ts");
    const handler = async () => {
      copy.noteHiddenFailure(message, 500);
      return { statusCode: 200 };
    };
    expect(await recordOf(handler, message)).toMatchObject([{ failed: true }]);
  });

  it("records no other events, and ignores a recorder that fails", async () => {
    expect(await recordOf(oldHandler, authorizerEvent())).toEqual([]);
    const recorder = {
      record() {
        throw new Error("full");
      },
    };
    const handler = split(oldHandler, newHandler, always("new"), { recorder });
    expect(await handler(connect, lambdaContext())).toEqual({ statusCode: 200, body: "new" });
    expect(() => split(oldHandler, newHandler, always("new"), { recorder: {} } as never)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });
});
