import { describe, expect, it } from "vitest";
import { createGateway, ManualClock } from "../../src/gateway/index.ts";
import { connect, connectWithId, ok, startApi } from "./harness.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe.each([
  ["forward", HOUR],
  ["back", -HOUR],
])("a wall clock that jumps %s by an hour", (_, jump) => {
  it("closes no connection, and changes neither the idle limit nor the lifetime limit", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, limits: { lifetimeMs: 15 * MINUTE } });
    const { client, id } = await connectWithId(api);
    clock.jump(jump);
    clock.advance(9 * MINUTE);
    expect(await api.gateway.get(id)).toBeDefined();
    client.send("still there");
    await api.messages.next();
    clock.advance(6 * MINUTE - 1);
    expect(await api.gateway.get(id)).toBeDefined();
    clock.advance(2_000);
    expect(await client.closed).toMatchObject({ code: 1001 });
  });

  it("does not change the idle limit of ten minutes", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const { client, id } = await connectWithId(api);
    clock.jump(jump);
    clock.advance(10 * MINUTE - 1);
    expect(await api.gateway.get(id)).toBeDefined();
    clock.advance(2_000);
    expect(await client.closed).toMatchObject({ code: 1001 });
  });

  it("does not change the timeout of handlers", async () => {
    const clock = new ManualClock();
    let answer = (_: object) => {};
    const remaining: number[] = [];
    const started = Promise.withResolvers<void>();
    const api = await startApi({ clock }, (_event, context) => {
      started.resolve();
      remaining.push(context.getRemainingTimeInMillis());
      clock.jump(jump);
      remaining.push(context.getRemainingTimeInMillis());
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    const opened = connect(api.gateway);
    await started.promise;
    clock.advance(28_999);
    answer(ok);
    await opened;
    expect(remaining).toEqual([29_000, 29_000]);
  });

  it("does not change the tokens of the request rate", async () => {
    const clock = new ManualClock();
    const { gateway } = await startApi({ clock, limits: { requestsPerSecond: 1, requestBurst: 1 } });
    await gateway.get("Xux7aeaAFiACHZQ=");
    clock.jump(jump);
    await expect(gateway.get("Xux7aeaAFiACHZQ=")).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    clock.advance(1_000);
    expect(await gateway.get("Xux7aeaAFiACHZQ=")).toBeUndefined();
  });

  it("moves the date of the last activity with it", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock });
    const { id } = await connectWithId(api);
    clock.advance(MINUTE);
    clock.jump(jump);
    expect((await api.gateway.get(id))?.lastActiveAt).toBe(clock.now() - MINUTE);
  });
});

it("returns whole milliseconds of remaining time to handlers", async () => {
  const clock = new ManualClock();
  const remaining: number[] = [];
  const api = await startApi({ clock }, (_event, context) => {
    clock.advance(0.4);
    remaining.push(context.getRemainingTimeInMillis());
    return ok;
  });
  await connect(api.gateway);
  expect(remaining).toEqual([28_999]);
});

describe("a clock without elapsed time", () => {
  it("derives it from forward steps, and ignores a step back", async () => {
    const manual = new ManualClock();
    const clock = {
      now: () => manual.now(),
      setTimeout: (callback: () => void, ms: number) => manual.setTimeout(callback, ms),
      // The harness moves the clock when it stops the gateway.
      advance: (ms: number) => manual.advance(ms),
    };
    const api = await startApi({ clock });
    const { client, id } = await connectWithId(api);
    manual.jump(-HOUR);
    manual.advance(9 * MINUTE);
    expect(await api.gateway.get(id)).toBeDefined();
    manual.advance(2 * MINUTE);
    expect(await client.closed).toMatchObject({ code: 1001 });
  });

  it("must not have an `elapsed` that is not a function", () => {
    const clock = { now: () => 0, setTimeout: () => ({ cancel: () => {} }), elapsed: 5 };
    expect(() => createGateway({ handler: () => ok, clock: clock as never })).toThrow("clock");
  });
});
