import { expect, it, vi } from "vitest";
import type { DeadLetter, ScheduledItem } from "../../store/index.ts";
import { memorySchedule } from "../../store/memory/index.ts";
import { jsonLogger, Lift, type LiftOptions, type ScheduleFailure } from "../index.ts";
import { lambdaContext } from "../testing/index.ts";

const NOW = Date.UTC(2026, 0, 1);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

function setUp(options: Partial<LiftOptions<object>> = {}) {
  let time = NOW;
  const schedule = memorySchedule();
  const lines: string[] = [];
  const failures: ScheduleFailure[] = [];
  const app = new Lift<object>({
    schedule,
    logger: jsonLogger({ write: (_level, line) => lines.push(line) }),
    now: () => time,
    onScheduleFailure: (failure) => void failures.push(failure),
    ...options,
  });
  return {
    app,
    schedule,
    lines,
    failures,
    put: (id: string, overrides: Partial<ScheduledItem> = {}) =>
      schedule.put({ kind: "note", id, dueAt: NOW, data: {}, ...overrides }),
    /** Returns the time until each item is due, in ms. */
    waits: () => [...(schedule.listAll?.() ?? [])].map(({ dueAt }) => dueAt - time),
    dead: async () => {
      const letters: DeadLetter[] = [];
      for await (const letter of schedule.listDeadLetters()) letters.push(letter);
      return letters;
    },
    advance: (ms: number) => {
      time += ms;
    },
  };
}

const refuse = () => Promise.reject(new Error("ENOTFOUND"));

it("doubles the delay after each failure, up to `longestMs`", async () => {
  vi.spyOn(Math, "random").mockReturnValue(1);
  const { app, put, waits, advance } = setUp({ scheduleRetry: { longestMs: 10 * SECOND } });
  app.scheduled("note", refuse);
  await put("a");
  const waited: number[] = [];
  for (let n = 0; n < 6; n++) {
    await app.tick();
    waited.push(...waits());
    advance(waits()[0]! - 1);
    expect(await app.tick()).toMatchObject({ failed: 0 });
    advance(1);
  }
  expect(waited).toEqual([1, 2, 4, 8, 10, 10].map((seconds) => seconds * SECOND));
});

it("waits as long as `firstMs` when that exceeds the longest delay of the defaults", async () => {
  vi.spyOn(Math, "random").mockReturnValue(1);
  const { app, put, waits } = setUp({ scheduleRetry: { firstMs: 60 * MINUTE } });
  app.scheduled("note", refuse);
  await put("a");
  await app.tick();
  expect(waits()).toEqual([60 * MINUTE]);
});

it("spreads the retries of items that failed together", async () => {
  let chance = 0;
  vi.spyOn(Math, "random").mockImplementation(() => (chance = (chance + 0.01) % 1));
  const { app, put, waits } = setUp({ scheduleRetry: { firstMs: 10 * SECOND } });
  app.scheduled("note", refuse);
  for (let n = 0; n < 50; n++) await put(`item-${n}`);
  await app.tick();
  expect(new Set(waits()).size).toBe(50);
  expect(Math.min(...waits())).toBeGreaterThanOrEqual(5 * SECOND);
  expect(Math.max(...waits())).toBeLessThanOrEqual(10 * SECOND);
});

it("makes an item a dead letter with its cause after its last attempt, and calls `onScheduleFailure` each time", async () => {
  const { app, put, dead, advance, failures, lines } = setUp({ scheduleRetry: { tries: 3 } });
  app.scheduled("note", refuse);
  await put("a", { data: { n: 1 } });
  for (let n = 0; n < 5; n++) {
    await app.tick();
    advance(10 * MINUTE);
  }
  expect(failures.map(({ failures, nextAt }) => [failures, nextAt === undefined])).toEqual([
    [1, false],
    [2, false],
    [3, true],
  ]);
  expect(failures[2]).toMatchObject({
    item: { kind: "note", id: "a", data: { n: 1 } },
    error: new Error("ENOTFOUND"),
  });
  expect(await dead()).toEqual([
    expect.objectContaining({
      kind: "note",
      id: "a",
      data: { n: 1 },
      failures: 3,
      cause: "Error: ENOTFOUND",
    }),
  ]);
  expect(lines.filter((line) => line.includes("for the last time"))).toHaveLength(1);
});

it("makes 20 attempts by default, within about an hour", async () => {
  const { app, put, dead, advance, failures } = setUp();
  app.scheduled("note", refuse);
  await put("a");
  for (let minute = 0; minute < 75; minute++) {
    await app.tick();
    advance(MINUTE);
  }
  expect(failures).toHaveLength(20);
  expect(await dead()).toHaveLength(1);
});

it("starts over with a dead letter that is put again", async () => {
  const { app, put, dead, failures } = setUp({ scheduleRetry: { tries: 1 } });
  let isBroken = true;
  app.scheduled("note", () => (isBroken ? refuse() : undefined));
  await put("a");
  await app.tick();
  expect(await dead()).toHaveLength(1);
  isBroken = false;
  await put("a");
  expect([await dead(), await app.tick()]).toEqual([[], { done: 1, failed: 0, complete: true }]);
  expect(failures).toHaveLength(1);
});

it("retries a kind with infinite tries at the longest delay, until a week after it was due", async () => {
  const { app, put, dead, advance, failures, schedule } = setUp({ scheduleRetry: { tries: 2 } });
  app.scheduled("note", refuse, { tries: Number.POSITIVE_INFINITY });
  await put("a");
  for (let n = 0; n < 100; n++) {
    await app.tick();
    advance(5 * MINUTE);
  }
  expect([failures.length, await dead()]).toEqual([100, []]);
  advance(7 * 24 * 60 * MINUTE);
  await app.tick();
  expect([...(schedule.listAll?.() ?? [])]).toEqual([]);
});

it("handles items behind hundreds of failing ones in the same tick", async () => {
  const { app, put } = setUp({ deadlineMarginMs: 0 });
  const done: string[] = [];
  let isOver = false;
  app.scheduled("dead", async () => {
    await new Promise(setImmediate);
    await refuse();
  });
  app.scheduled("expiry", ({ id }) => {
    done.push(id);
    isOver = true;
  });
  for (let n = 0; n < 5_000; n++) await put(`${n}`, { kind: "dead", dueAt: NOW - MINUTE });
  await put("a token", { kind: "expiry" });
  let tried = 0;
  const context = lambdaContext({ getRemainingTimeInMillis: () => MINUTE });
  const tick = app.tick({ context });
  while (!isOver && tried++ < 1_000) await new Promise(setImmediate);
  expect(done).toEqual(["a token"]);
  expect(tried).toBeLessThan(20);
  expect(await tick).toMatchObject({ done: 1, complete: false });
});

it("handles first attempts before retries", async () => {
  const { app, put, advance } = setUp({ scheduleRetry: { firstMs: 1 } });
  const seen: string[] = [];
  app.scheduled("note", async ({ id }) => {
    seen.push(id);
    await new Promise(setImmediate);
    if (id.startsWith("bad")) await refuse();
  });
  for (let n = 0; n < 64; n++) await put(`bad-${n}`);
  await app.tick();
  advance(SECOND);
  seen.length = 0;
  await put("good", { dueAt: NOW + SECOND });
  await app.tick();
  expect(seen.indexOf("good")).toBeLessThanOrEqual(33);
});

it("counts an action that never ends as a failure, so that others get their turn", async () => {
  const { app, put, advance, failures } = setUp({ deadlineMarginMs: MINUTE });
  const done: string[] = [];
  app.scheduled("note", ({ id }) => (id.startsWith("hangs") ? new Promise(() => {}) : void done.push(id)));
  for (let n = 0; n < 32; n++) await put(`hangs-${n}`);
  await put("z");
  const context = lambdaContext({ getRemainingTimeInMillis: () => MINUTE + 50 });
  expect(await app.tick({ context })).toEqual({ done: 0, failed: 0, complete: false });
  expect(failures).toHaveLength(32);
  expect(failures[0]).toMatchObject({ error: { code: "TIMEOUT" }, failures: 1 });
  advance(400);
  expect(await app.tick()).toEqual({ done: 1, failed: 0, complete: true });
  expect(done).toEqual(["z"]);
});

it("records no failure of an action that ended before its tick was stopped", async () => {
  const { app, put, failures } = setUp({ deadlineMarginMs: MINUTE });
  app.scheduled("note", ({ id }) => (id === "hangs" ? new Promise(() => {}) : undefined));
  for (const id of ["done", "hangs"]) await put(id);
  await app.tick({ context: lambdaContext({ getRemainingTimeInMillis: () => MINUTE + 50 }) });
  expect(failures.map(({ item }) => item.id)).toEqual(["hangs"]);
});

it("records one failure of an action that fails after its tick has ended", async () => {
  const { app, put, failures, waits } = setUp({ deadlineMarginMs: MINUTE });
  const late = Promise.withResolvers<void>();
  app.scheduled("note", () => late.promise);
  await put("a");
  await app.tick({ context: lambdaContext({ getRemainingTimeInMillis: () => MINUTE + 50 }) });
  const [wait] = waits();
  late.reject(new Error("too late"));
  await new Promise(setImmediate);
  expect(failures).toMatchObject([{ error: { code: "TIMEOUT" }, failures: 1 }]);
  expect(waits()).toEqual([wait]);
});

it("ignores an item that was moved or deleted after it was read", async () => {
  const { app, put, schedule } = setUp();
  const seen: string[] = [];
  app.scheduled("note", ({ id }) => void seen.push(id));
  for (const id of ["moved", "deleted", "due"]) await put(id);
  const read: ScheduledItem[] = [];
  for await (const item of schedule.listDue(NOW)) read.push(item);
  await put("moved", { dueAt: NOW + SECOND });
  await schedule.delete(read[1]!);
  vi.spyOn(schedule, "listDue").mockImplementationOnce(async function* () {
    yield* read;
  });
  expect(await app.tick()).toEqual({ done: 1, failed: 0, complete: true });
  expect(seen).toEqual(["due"]);
});

it("keeps the new due time of an item that was moved while its action failed", async () => {
  const { app, put, waits } = setUp();
  app.scheduled("note", async () => {
    await put("a", { dueAt: NOW + MINUTE });
    throw new Error("not today");
  });
  await put("a");
  await app.tick();
  expect(waits()).toEqual([MINUTE]);
});

it("logs a failing hook and a failing schedule", async () => {
  const { app, put, schedule, lines } = setUp({
    onScheduleFailure: () => {
      throw new Error("the hook is broken");
    },
  });
  app.scheduled("note", refuse);
  await put("a");
  await put("b");
  vi.spyOn(schedule, "recordFailure").mockRejectedValueOnce(new Error("throttled"));
  expect(await app.tick()).toEqual({ done: 0, failed: 2, complete: true });
  const logged = (text: string) => lines.filter((line) => line.includes(text)).length;
  expect([logged("the hook is broken"), logged("throttled"), logged("ENOTFOUND")]).toEqual([2, 1, 2]);
});

it("stores no secret and no long text in its causes", async () => {
  const { app, put, dead } = setUp({ scheduleRetry: { tries: 1 } });
  app.scheduled("note", () => {
    throw new Error(`refused: Bearer abcdefghijklmnop ${"x".repeat(10_000)}`);
  });
  await put("a");
  await app.tick();
  const [{ cause } = { cause: "" }] = await dead();
  expect(cause).toContain("refused: Bearer [redacted]");
  expect(cause.length).toBeLessThan(400);
});

it.each([
  { tries: 0 },
  { tries: 1.5 },
  { firstMs: 0 },
  { longestMs: 0 },
  { firstMs: 2_000, longestMs: 1_000 },
  { longestMs: Number.POSITIVE_INFINITY },
  { attempts: 3 },
])("rejects the retry %j", (scheduleRetry) => {
  const invalid = expect.objectContaining({ code: "INVALID_OPTION" });
  expect(() => new Lift({ scheduleRetry } as never)).toThrow(invalid);
  if ("tries" in scheduleRetry) {
    expect(() => new Lift().scheduled("note", () => {}, scheduleRetry as never)).toThrow(invalid);
  }
});
