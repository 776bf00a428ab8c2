import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { ScheduledItem } from "../../store/index.ts";
import { memorySchedule } from "../../store/memory/index.ts";
import { jsonLogger, Lift, type LiftOptions, type Middleware, type Tick } from "../index.ts";
import { lambdaContext, messageEvent, recordingConnections } from "../testing/index.ts";

const NOW = Date.UTC(2026, 0, 1);

function setUp(options: Partial<LiftOptions<object>> = {}) {
  let time = NOW;
  const schedule = memorySchedule();
  const lines: string[] = [];
  const logger = jsonLogger({ write: (_level, line) => lines.push(line) });
  const app = new Lift<object>({ schedule, logger, now: () => time, ...options });
  const put = (id: string, overrides: Partial<ScheduledItem> = {}) =>
    schedule.put({ kind: "note", id, dueAt: NOW, data: {}, ...overrides });
  const left = async () => {
    const ids: string[] = [];
    for await (const { id } of schedule.listDue(NOW + 86_400_000)) ids.push(id);
    return ids;
  };
  const advance = (ms: number) => {
    time += ms;
  };
  return { app, schedule, lines, put, left, advance };
}

it("handles an item once, when it is due", async () => {
  const { app, put, advance } = setUp();
  const seen: unknown[] = [];
  app.scheduled("note", (item) => void seen.push(item));
  await put("a", { data: { text: "hello" } });
  await put("b", { dueAt: NOW + 1_000 });
  expect(await app.tick()).toEqual({ done: 1, failed: 0, complete: true });
  expect(seen).toEqual([{ kind: "note", id: "a", dueAt: NOW, data: { text: "hello" } }]);
  expect(await app.tick()).toEqual({ done: 0, failed: 0, complete: true });
  advance(1_000);
  expect(await app.tick()).toEqual({ done: 1, failed: 0, complete: true });
});

it("keeps a failed item for a later tick, logs it, and handles the others", async () => {
  const { app, put, left, lines, advance } = setUp();
  let broken = true;
  app.scheduled("note", ({ id }) => {
    if (broken && id === "a") throw new Error("not today");
  });
  for (const id of ["a", "b", "c"]) await put(id);
  expect(await app.tick()).toEqual({ done: 2, failed: 1, complete: true });
  expect(lines).toEqual([expect.stringMatching(/A scheduled action failed.*"id":"a".*not today/)]);
  expect(await left()).toEqual(["a"]);
  broken = false;
  advance(1_000);
  expect(await app.tick()).toEqual({ done: 1, failed: 0, complete: true });
});

it("finishes started actions when the schedule fails, and reports the failure", async () => {
  const schedule = memorySchedule();
  const due = schedule.listDue.bind(schedule);
  schedule.listDue = async function* (now) {
    yield* due(now);
    throw new Error("a bad row");
  };
  const { app } = setUp({ schedule });
  const done: string[] = [];
  app.scheduled("note", async ({ id }) => {
    await new Promise(setImmediate);
    done.push(id);
  });
  for (const id of ["a", "b"]) await schedule.put({ kind: "note", id, dueAt: NOW, data: {} });
  await expect(app.tick()).rejects.toMatchObject({ code: "STORE_FAILED" });
  expect(done).toEqual(["a", "b"]);
});

it("survives a logger that throws", async () => {
  const logger = jsonLogger({
    write: () => {
      throw new Error("the log is full");
    },
  });
  const { app, put } = setUp({ logger });
  app.scheduled("note", () => Promise.reject(new Error("not today")));
  for (const id of ["a", "b"]) await put(id);
  expect(await app.tick()).toEqual({ done: 0, failed: 2, complete: true });
});

it("handles items that a middleware of one or several routes has scheduled", async () => {
  const { app, put } = setUp();
  const seen: string[] = [];
  const note: Middleware = Object.assign((_ctx: unknown, next: () => unknown) => next(), {
    scheduled: { note: ({ id }: ScheduledItem) => void seen.push(id) },
  });
  app.webSocket("a", { middleware: [note] }, () => {}).webSocket("b", { middleware: [note] }, () => {});
  await put("x");
  expect(await app.tick()).toMatchObject({ done: 1 });
  expect(seen).toEqual(["x"]);
});

it("keeps an item of an unknown kind", async () => {
  const { app, put, left, lines } = setUp();
  await put("a", { kind: "of tomorrow's version" });
  expect(await app.tick()).toMatchObject({ done: 0, failed: 1 });
  expect(lines).toEqual([expect.stringContaining("of tomorrow's version")]);
  expect(await left()).toEqual(["a"]);
});

it("keeps an item that its action has rescheduled", async () => {
  const { app, schedule, put, advance } = setUp();
  const at: number[] = [];
  app.scheduled("note", async (item, { now }) => {
    at.push(now());
    if (at.length === 1) await schedule.put({ ...item, dueAt: now() + 5_000 });
  });
  await put("a");
  await app.tick();
  advance(4_999);
  await app.tick();
  expect(at).toEqual([NOW]);
  advance(1);
  await app.tick();
  advance(10_000);
  await app.tick();
  expect(at).toEqual([NOW, NOW + 5_000]);
});

it("handles items once when two ticks run at once", async () => {
  const { app, put, left } = setUp();
  app.scheduled("note", () => {});
  for (const id of ["a", "b", "c"]) await put(id);
  const reports = await Promise.all([app.tick(), app.tick()]);
  for (const report of reports) expect(report).toMatchObject({ failed: 0, complete: true });
  expect(await left()).toEqual([]);
});

it("ends before its deadline and leaves the other items", async () => {
  const { app, put, left } = setUp({ deadlineMarginMs: 1_000 });
  let signal: AbortSignal | undefined;
  app.scheduled("note", (_item, tick) => {
    signal = tick.signal;
    return new Promise(() => {});
  });
  for (let n = 0; n < 40; n++) await put(`item-${n}`);
  const context = lambdaContext({ getRemainingTimeInMillis: () => 1_010 });
  expect(await app.tickHandler()({}, context)).toEqual({ done: 0, failed: 0, complete: false });
  expect(signal?.aborted).toBe(true);
  expect(await left()).toHaveLength(40);
});

it("leaves no timer", async () => {
  const { app, put } = setUp();
  app.scheduled("note", () => {});
  await put("a");
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  await app.tickHandler()({}, lambdaContext());
  expect(timers()).toBe(before);
});

it("handles thousands of due items", async () => {
  const { app, put } = setUp();
  app.scheduled("note", () => new Promise(setImmediate));
  for (let n = 0; n < 3_000; n++) await put(`item-${n}`);
  expect(await app.tick()).toEqual({ done: 3_000, failed: 0, complete: true });
});

it("runs at most 32 actions at a time", async () => {
  const { app, put } = setUp();
  let running = 0;
  let most = 0;
  app.scheduled("note", async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  });
  for (let n = 0; n < 100; n++) await put(`item-${n}`);
  expect(await app.tick()).toMatchObject({ done: 100 });
  expect(most).toBe(32);
});

it("rejects when the schedule cannot be read", async () => {
  const broken = memorySchedule();
  broken.listDue = () => ({
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("down")) }),
  });
  const { app } = setUp({ schedule: broken });
  await expect(app.tick()).rejects.toMatchObject({ code: "STORE_FAILED" });
});

it("does nothing without a schedule", async () => {
  expect(await new Lift().tickHandler()({}, lambdaContext())).toEqual({ done: 0, failed: 0, complete: true });
});

it("tells an action how much time is left", async () => {
  const { app, put } = setUp();
  const left: number[] = [];
  app.scheduled("note", (_item, tick) => void left.push(tick.getRemainingTimeInMillis()));
  await put("a");
  await app.tick({ context: lambdaContext({ getRemainingTimeInMillis: () => 12_345 }) });
  expect(left).toEqual([12_345]);
});

it("passes an action the app's connections, or the tick's", async () => {
  const [own, given] = [recordingConnections(), recordingConnections()];
  const { app, put } = setUp({ connections: own });
  const post = ({ id }: ScheduledItem, { connectionsAt }: Tick) =>
    connectionsAt("https://api.example.com/test").post(id, "due");
  app.scheduled("note", post);
  await put("a");
  await app.tick();
  await put("b");
  await app.tick({ connections: given });
  expect(own.sent).toEqual([{ connectionId: "a", data: "due" }]);
  expect(given.sent).toEqual([{ connectionId: "b", data: "due" }]);
});

it("registers a middleware's actions with `use`, one per kind", async () => {
  const { app, put } = setUp();
  const seen: string[] = [];
  const pass: Middleware = (_ctx, next) => next();
  const middleware = Object.assign(pass, { scheduled: { note: ({ id }: ScheduledItem) => seen.push(id) } });
  app.use([middleware]);
  await put("a");
  await app.tick();
  expect(seen).toEqual(["a"]);
  const twice = expect.objectContaining({ code: "ACTION_EXISTS" });
  expect(() => app.scheduled("note", () => {})).toThrow(twice);
  await app.webSocketHandler()(messageEvent("x", {}), lambdaContext());
  for (const register of [
    () => app.scheduled("other", () => {}),
    () => app.everyTick(() => {}),
    () => app.onStop(() => {}),
  ]) {
    expect(register).toThrow(expect.objectContaining({ code: "APP_STARTED" }));
  }
});

it("rejects an invalid schedule", () => {
  expect(() => new Lift({ schedule: {} as never })).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION" }),
  );
});

describe("everyTick", () => {
  it("runs an action on each tick, also without a schedule", async () => {
    const app = new Lift();
    let runs = 0;
    app.everyTick(() => runs++);
    expect(await app.tick()).toEqual({ done: 0, failed: 0, complete: true });
    await app.tick();
    expect(runs).toBe(2);
  });

  it("logs an action that fails, and runs the others and the due items", async () => {
    const { app, put, lines } = setUp();
    const ran: string[] = [];
    app.everyTick(() => Promise.reject(new Error("not today")));
    app.everyTick(() => {
      throw new Error("nor now");
    });
    app.everyTick(() => void ran.push("action"));
    app.scheduled("note", ({ id }) => void ran.push(id));
    await put("a");
    expect(await app.tick()).toEqual({ done: 1, failed: 0, complete: true });
    expect(ran.sort()).toEqual(["a", "action"]);
    expect(
      lines.map((line) => /An `everyTick` action failed.*(not today|nor now)/.exec(line)?.[1]).sort(),
    ).toEqual(["nor now", "not today"]);
  });

  it("runs the due items beside a slow action, and logs that it is late and how it fails", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const { app, put, left, lines } = setUp();
    let fail = () => {};
    app.everyTick(() => new Promise((_resolve, reject) => (fail = () => reject(new Error("too late")))));
    app.scheduled("note", () => {});
    await put("a");
    const tick = app.tick({ context: lambdaContext({ getRemainingTimeInMillis: () => 60_000 }) });
    while ((await left()).length > 0) await new Promise(setImmediate);
    expect(lines).toEqual([]);
    vi.advanceTimersByTime(59_000);
    expect(await tick).toEqual({ done: 1, failed: 0, complete: true });
    expect(lines).toEqual([expect.stringContaining("did not end before the end of the tick")]);
    fail();
    while (lines.length < 2) await new Promise(setImmediate);
    expect(lines[1]).toMatch(/An `everyTick` action failed.*too late/);
  });

  it("waits for its actions when the schedule cannot be read", async () => {
    const schedule = memorySchedule();
    schedule.listDue = () => {
      throw new Error("down");
    };
    const { app } = setUp({ schedule });
    let hasEnded = false;
    app.everyTick(async () => {
      await new Promise(setImmediate);
      hasEnded = true;
    });
    await expect(app.tick()).rejects.toThrow();
    expect(hasEnded).toBe(true);
  });
});

describe("stop", () => {
  it("runs all actions of `onStop` although some fail, and waits for them", async () => {
    const { app, lines } = setUp();
    const ran: string[] = [];
    app.onStop(() => {
      throw new Error("no database");
    });
    app.onStop(() => Promise.reject(new Error("no file")));
    app.onStop(async () => {
      await new Promise(setImmediate);
      ran.push("last");
    });
    await app.stop();
    expect(ran).toEqual(["last"]);
    expect(lines.map((line) => /An `onStop` action failed.*(no \w+)/.exec(line)?.[1]).sort()).toEqual([
      "no database",
      "no file",
    ]);
  });
});
