import { describe, expect, it, vi } from "vitest";
import type { LambdaContext, LambdaHandler } from "../../apigw/index.ts";
import { ManualClock } from "../clock.ts";
import { readOptions } from "../read-options.ts";
import { acceptsConnection, checkResult, Invoker, type Outcome } from "./invoke.ts";

function setUp(limits = {}) {
  const clock = new ManualClock();
  const invoker = new Invoker(readOptions({ handler: () => {}, clock, limits }));
  const run = (handler: LambdaHandler<string>) =>
    new Promise<Outcome>((settle) => invoker.run(handler, "event", "fn", settle));
  return { clock, invoker, run };
}

/** The context's members of the runtimes before Node 24. */
interface OldContext {
  done(error?: unknown, value?: unknown): void;
  succeed(value?: unknown): void;
  fail(error?: unknown): void;
}

const old = (context: LambdaContext) => context as unknown as OldContext;

/** Calls it when the handler has returned. Returns nothing, like handlers with a callback. */
function later<Args extends unknown[]>(call: (...args: Args) => void, ...args: Args): void {
  setImmediate(() => call(...args));
}

const never = () => new Promise(() => {});

describe("Invoker", () => {
  it.each<[string, LambdaHandler<string>]>([
    ["returns", () => 1],
    ["resolves", async () => 1],
    ["calls back", (_event, _context, callback) => callback(null, 1)],
    ["calls back without an error", (_event, _context, callback) => callback(undefined, 1)],
    ["calls back later", (_event, _context, callback) => setImmediate(callback, null, 1)],
    ["calls context.succeed", (_event, context) => old(context).succeed(1)],
    ["calls a destructured context.succeed", (_event, context) => later(old(context).succeed, 1)],
    ["calls a destructured context.done", (_event, context) => later(old(context).done, null, 1)],
  ])("has the value that a handler %s as its outcome", async (_name, handler) => {
    expect(await setUp().run(handler)).toEqual({ kind: "answered", value: 1 });
  });

  it("accepts null as a handler's result", async () => {
    expect(await setUp().run(() => null)).toEqual({ kind: "answered", value: null });
  });

  it.each<[string, LambdaHandler<string>]>([
    [
      "throws",
      () => {
        throw "text";
      },
    ],
    ["rejects", () => Promise.reject("text")],
    ["calls back an error", (_event, _context, callback) => callback("text")],
    ["calls a destructured context.fail", (_event, context) => later(old(context).fail, "text")],
  ])("fails with the error that a handler %s", async (_name, handler) => {
    expect(await setUp().run(handler)).toEqual({ kind: "failed", error: "text" });
  });

  it("times out a handler that never ends at exactly 29 seconds", async () => {
    const { clock, invoker } = setUp();
    const settle = vi.fn();
    invoker.run(never, "event", "fn", settle);
    clock.advance(28_999);
    expect(settle).not.toHaveBeenCalled();
    clock.advance(1);
    expect(settle).toHaveBeenCalledExactlyOnceWith({ kind: "timed out" });
  });

  it("measures each invocation from its own start", () => {
    const { clock, invoker } = setUp();
    const first = vi.fn();
    const second = vi.fn();
    invoker.run(never, "event", "fn", first);
    clock.advance(10_000);
    invoker.run(never, "event", "fn", second);
    clock.advance(19_000);
    expect(first).toHaveBeenCalledOnce();
    expect(second).not.toHaveBeenCalled();
    clock.advance(10_000);
    expect(second).toHaveBeenCalledOnce();
  });

  it("ignores a result after the timeout, and a second result", async () => {
    const { clock, invoker } = setUp();
    const settle = vi.fn();
    let answerLate: (value: unknown) => void = () => {};
    invoker.run(
      () =>
        new Promise((resolve) => {
          answerLate = resolve;
        }),
      "event",
      "fn",
      settle,
    );
    clock.advance(29_000);
    answerLate("late");
    await Promise.resolve();
    expect(settle).toHaveBeenCalledOnce();
  });

  it.each([0, 1, 2])("times out the other invocations after the end of number %i of three", async (index) => {
    const { clock, invoker } = setUp();
    const ends: ((value: unknown) => void)[] = [];
    const outcomes: string[] = [];
    for (let n = 0; n < 3; n++) {
      invoker.run(
        () => new Promise((resolve) => ends.push(resolve)),
        "event",
        "fn",
        ({ kind }) => outcomes.push(`${n} ${kind}`),
      );
    }
    ends[index]?.("value");
    await vi.waitFor(() => expect(outcomes).toEqual([`${index} answered`]));
    expect(invoker.isBusy).toBe(true);
    clock.advance(29_000);
    const others = [0, 1, 2].filter((n) => n !== index).map((n) => `${n} timed out`);
    expect(outcomes.slice(1)).toEqual(others);
    expect(invoker.isBusy).toBe(false);
  });

  it("starts no timer without a timeout", () => {
    const { clock, invoker } = setUp({ integrationTimeoutMs: Number.POSITIVE_INFINITY });
    invoker.run(never, "event", "fn", () => {});
    expect(clock.pending).toBe(0);
  });

  it("reports the end of a handler after its timeout once, and no second result", () => {
    const { clock, invoker } = setUp();
    const late = vi.fn();
    const calls: ((error: null, value: unknown) => void)[] = [];
    const handler: LambdaHandler<string> = (_event, _context, callback) => {
      calls.push(callback);
    };
    for (let n = 0; n < 2; n++) invoker.run(handler, "event", "fn", () => {}, late);
    for (const value of ["in time", "again"]) calls[0]?.(null, value);
    clock.advance(29_000);
    for (const value of ["late", "again"]) calls[1]?.(null, value);
    expect(late).toHaveBeenCalledExactlyOnceWith({ kind: "answered", value: "late" });
  });

  it("passes the complete Lambda context, with the remaining time by the gateway's clock", async () => {
    const { clock, run } = setUp();
    let seen: LambdaContext | undefined;
    await run((_event, context) => {
      clock.advance(9_000);
      expect(context.getRemainingTimeInMillis()).toBe(20_000);
      seen = context;
    });
    expect(seen).toMatchObject({
      functionName: "fn",
      functionVersion: "$LATEST",
      invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:fn",
      memoryLimitInMB: "128",
      logGroupName: "/aws/lambda/fn",
      callbackWaitsForEmptyEventLoop: true,
    });
    expect(seen?.awsRequestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(seen?.logStreamName).toMatch(/^2026\/01\/01\/\[\$LATEST\][0-9a-f]{32}$/);
  });

  it("passes a context that can be destructured, copied and serialized", async () => {
    let seen: LambdaContext | undefined;
    await setUp().run((_event, context) => {
      const { getRemainingTimeInMillis } = context;
      expect(getRemainingTimeInMillis()).toBe(29_000);
      seen = context;
    });
    const names = {
      awsRequestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      functionName: "fn",
      invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:fn",
      logGroupName: "/aws/lambda/fn",
      logStreamName: expect.stringMatching(/^2026/),
    };
    expect({ ...seen }).toMatchObject(names);
    expect(JSON.parse(JSON.stringify(seen))).toMatchObject(names);
  });

  it("gives each invocation its own awsRequestId, and all one log stream", async () => {
    const { run } = setUp();
    const contexts: LambdaContext[] = [];
    for (let i = 0; i < 600; i++) {
      await run((_event, context) => {
        contexts.push(context);
      });
    }
    expect(new Set(contexts.map(({ awsRequestId }) => awsRequestId)).size).toBe(600);
    expect(new Set(contexts.map(({ logStreamName }) => logStreamName)).size).toBe(1);
  });

  it("drains: resolves when the running handlers have ended", async () => {
    const { clock, invoker } = setUp();
    let finish: (value: unknown) => void = () => {};
    invoker.run(
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
      "event",
      "fn",
      () => {},
    );
    const timers = clock.pending;
    const drained = invoker.drain(5_000);
    finish(1);
    await expect(drained).resolves.toBeUndefined();
    expect(clock.pending).toBe(timers);
  });

  it("drains no longer than the given time", async () => {
    const { clock, invoker } = setUp();
    invoker.run(never, "event", "fn", () => {});
    const drained = invoker.drain(5_000);
    clock.advance(5_000);
    await expect(drained).resolves.toBeUndefined();
  });

  it("times out the running handlers and leaves no timer when it stops", () => {
    const { clock, invoker } = setUp();
    const settle = vi.fn();
    invoker.run(never, "event", "fn", settle);
    invoker.stop();
    expect(clock.pending).toBe(0);
    expect(settle).toHaveBeenCalledExactlyOnceWith({ kind: "timed out" });
  });
});

describe("checkResult", () => {
  const check = (value: unknown) => checkResult({ kind: "answered", value }).kind;
  const circular: Record<string, unknown> = { statusCode: 200 };
  circular.self = circular;

  it.each([
    { statusCode: 200 },
    { statusCode: 404, body: "x", headers: { a: "b" } },
    { statusCode: 500, body: null },
    { statusCode: 200, headers: { "X-N": 1 }, multiValueHeaders: { a: ["b"] }, isBase64Encoded: false },
    { statusCode: 200, ConnectionId: undefined },
  ])("accepts %j", (value) => expect(check(value)).toBe("answered"));

  it.each([
    undefined,
    null,
    "text",
    {},
    { statusCode: "2e2" },
    { statusCode: "099" },
    { statusCode: " 200" },
    { statusCode: 2.5 },
    { statusCode: 99 },
    { statusCode: 200, body: {} },
  ])("rejects %j as malformed", (value) => expect(check(value)).toBe("failed"));

  it("rejects a circular result as malformed, because it is not JSON", () => {
    expect(check(circular)).toBe("failed");
    expect(check({ statusCode: 200, body: circular })).toBe("failed");
  });
});

describe("acceptsConnection", () => {
  it.each([{ statusCode: 200 }, { statusCode: 299 }, { statusCode: "200" }, { statusCode: 204, body: {} }])(
    "accepts %j",
    (result) => expect(acceptsConnection(result)).toBe(true),
  );

  it.each([undefined, null, "200", {}, { statusCode: 199 }, { statusCode: 300 }, { statusCode: 403 }])(
    "rejects %j",
    (result) => expect(acceptsConnection(result)).toBe(false),
  );

  it("rejects a result that throws when it is read", () => {
    const result = {
      get statusCode() {
        throw new Error("no status");
      },
    };
    expect(acceptsConnection(result)).toBe(false);
  });
});
