import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GOOD_COUNTS } from "../../../test/support/good-counts.ts";
import {
  createPlan,
  nextState,
  type ObservedWindow,
  type PlanOptions,
  parseRolloutState,
  type RolloutState,
  type SideCounts,
  startRollout,
} from "../index.ts";

const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;

/** Two windows a stage. */
const plan = createPlan({
  stages: [{ percent: 5, hours: 2 / 60 }, { percent: 50, hours: 2 / 60 }, { percent: 100 }],
  windowMs: MINUTE,
});

const windowAt = (
  minute: number,
  fresh: Partial<SideCounts> = {},
  old: Partial<SideCounts> = {},
): ObservedWindow => ({
  from: START + minute * MINUTE,
  to: START + (minute + 1) * MINUTE,
  old: { ...GOOD_COUNTS, ...old },
  new: { ...GOOD_COUNTS, ...fresh },
});

const observe = (state: RolloutState, window: ObservedWindow) =>
  nextState(state, { type: "window", window }, plan);

/** Observes windows one after the other. */
const stateAfter = (...windows: readonly ObservedWindow[]) =>
  windows.reduce((state, window) => observe(state, window).state, startRollout(plan, START));

describe("nextState", () => {
  it("promotes after each stage's observed time, to the last stage", () => {
    const stages = [0, 1, 2, 3, 4].map((count) =>
      stateAfter(...Array.from({ length: count }, (_, n) => windowAt(n))),
    );
    expect(stages.map(({ percent, status }) => [percent, status])).toEqual([
      [5, "running"],
      [5, "running"],
      [50, "running"],
      [50, "running"],
      [100, "complete"],
    ]);
    expect(stages.map(({ version }) => version)).toEqual([1, 2, 4, 5, 7]);
  });

  it("does not count time without windows", () => {
    expect(stateAfter(windowAt(0), windowAt(1_000)).percent).toBe(50);
    expect(stateAfter(windowAt(1_000)).percent).toBe(5);
  });

  it.each([
    ["errors", { errors: 60 }, { observed: 0.06, limit: 0.01, sample: 1_000 }],
    ["connections", { connectFailures: 10 }, { observed: 0.1, limit: 0.001, sample: 100 }],
    [
      "latency",
      { latencySum: 15_000, latencySquares: 250_000 },
      { observed: 0.5, limit: 0.2, sample: 1_000 },
    ],
  ])("rolls back in the window in which %s exceed the limit, and reports why", (trigger, bad, report) => {
    const state = stateAfter(windowAt(0), windowAt(1, bad));
    expect(state).toMatchObject({ status: "rolled back", percent: 0, stage: 0 });
    const { observed, ...rest } = report;
    const times = { from: START + MINUTE, to: START + 2 * MINUTE };
    expect(state.reason).toEqual({ trigger, ...rest, observed: expect.closeTo(observed), ...times });
  });

  it("rolls back in the last stage and while paused too", () => {
    const complete = stateAfter(...[0, 1, 2, 3].map((n) => windowAt(n)));
    expect(
      observe(complete, windowAt(4, { errors: 500 }, { events: 0, latencies: 0, latencySum: 0 })).state,
    ).toMatchObject({
      status: "rolled back",
    });
    const { state: paused } = nextState(stateAfter(windowAt(0)), { type: "pause" }, plan);
    expect(observe(paused, windowAt(1, { errors: 500 })).state.status).toBe("rolled back");
  });

  it("does not trigger below the minimum sample, or where the old side is as bad", () => {
    expect(stateAfter(windowAt(0, { events: 199, errors: 199 })).status).toBe("running");
    expect(stateAfter(windowAt(0, { connects: 49, connectFailures: 49 })).status).toBe("running");
    expect(stateAfter(windowAt(0, { errors: 100 }, { errors: 100 })).status).toBe("running");
  });

  it("finds a small excess in many windows together", () => {
    const one = { events: 250, errors: 8, latencies: 250, latencySum: 2_500, latencySquares: 30_000 };
    const long = createPlan({ stages: [{ percent: 5, hours: 24 }, { percent: 100 }], windowMs: MINUTE });
    let state = startRollout(long, START);
    let windows = 0;
    for (; state.status === "running" && windows < 64; windows++) {
      ({ state } = nextState(state, { type: "window", window: windowAt(windows, one) }, long));
    }
    expect(state.reason).toMatchObject({ trigger: "errors", sample: 250 * windows });
    expect(windows).toBeGreaterThan(1);
  });

  it("waits with a promotion until each trigger has its sample and no limit is exceeded", () => {
    const few = { connects: 10 };
    expect(stateAfter(...[0, 1, 2].map((n) => windowAt(n, few))).percent).toBe(5);
    expect(stateAfter(...[0, 1, 2, 3, 4].map((n) => windowAt(n, few))).percent).toBe(50);
    expect(stateAfter(windowAt(0), windowAt(1, { errors: 21 })).percent).toBe(5);
    expect(stateAfter(windowAt(0), windowAt(1, { errors: 21 }), windowAt(2)).percent).toBe(50);
  });

  it("does not promote while paused, and continues after `resume`", () => {
    let { state } = nextState(stateAfter(windowAt(0)), { type: "pause" }, plan);
    for (const minute of [1, 2, 3]) ({ state } = observe(state, windowAt(minute)));
    expect(state).toMatchObject({ status: "paused", percent: 5 });
    ({ state } = nextState(state, { type: "resume" }, plan));
    expect(observe(state, windowAt(4)).state.percent).toBe(50);
  });

  it("promotes and rolls back by hand", () => {
    const { state } = nextState(stateAfter(windowAt(0)), { type: "promote" }, plan);
    expect(state).toMatchObject({ percent: 50, stage: 1, observedMs: 0 });
    expect(nextState(state, { type: "rollback", reason: "pager" }, plan).state).toMatchObject({
      status: "rolled back",
      percent: 0,
      reason: "pager",
    });
  });

  it("rejects a promotion while a limit is exceeded, and inputs that the state does not allow", () => {
    const invalid = (message: string) =>
      expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringContaining(message) });
    const worse = stateAfter(windowAt(0, { errors: 15 }));
    expect(worse.status).toBe("running");
    expect(() => nextState(worse, { type: "promote" }, plan)).toThrow(invalid("errors exceed the limit"));
    expect(() => nextState(stateAfter(), { type: "resume" }, plan)).toThrow(invalid("is running"));
    const complete = stateAfter(...[0, 1, 2, 3].map((n) => windowAt(n)));
    expect(() => nextState(complete, { type: "promote" }, plan)).toThrow(invalid("complete"));
    expect(() => nextState(complete, { type: "pause" }, plan)).toThrow(invalid("complete"));
    const back = stateAfter(windowAt(0, { errors: 500 }));
    expect(() => nextState(back, { type: "promote" }, plan)).toThrow(invalid("rolled back"));
    expect(observe(back, windowAt(1))).toEqual({ state: back, ignored: "the rollout was rolled back" });
  });

  it.each([
    ["yesterday's", windowAt(-1_440), "before the end of the last window"],
    ["the same", windowAt(0), "before the end of the last window"],
    ["one over a clock's jump", { ...windowAt(1), to: START + 4 * MINUTE }, "longer than two windows"],
    [
      "one without events",
      windowAt(1, { ...GOOD_COUNTS, events: 0, connects: 0, connectFailures: 0 }),
      "no events",
    ],
    ["one that ends before it begins", { ...windowAt(1), to: START }, "`to`"],
    ["NaN", windowAt(1, { errors: Number.NaN }), "`new.errors`"],
    ["negative", windowAt(1, {}, { connects: -1 }), "`old.connects`"],
    ["more errors than events", windowAt(1, { errors: 1_001 }), "`new.errors` exceeds"],
    ["an impossible variance", windowAt(1, { latencySquares: 1 }), "`new.latencySquares`"],
    ["half", { from: START + MINUTE, to: START + 2 * MINUTE, new: GOOD_COUNTS }, "`old` must be an object"],
    ["text", "<html>", "must be an object"],
    ["nothing", undefined, "must be an object"],
  ])("ignores a window that is %s, and changes nothing", (_what, window, ignored) => {
    const state = stateAfter(windowAt(0));
    const step = observe(state, window as ObservedWindow);
    expect(step.state).toBe(state);
    expect(step.ignored).toContain(ignored);
  });

  it("never changes its state for garbage", () => {
    const state = stateAfter(windowAt(0));
    fc.assert(
      fc.property(fc.anything(), (window) => {
        expect(observe(state, window as ObservedWindow).state).toBe(state);
      }),
    );
  });

  it("keeps observations small, whole and in order", () => {
    const long = createPlan({ stages: [{ percent: 5, hours: 24 }, { percent: 100 }], windowMs: MINUTE });
    let state = startRollout(long, START);
    for (let n = 0; n < 1_000; n++)
      ({ state } = nextState(state, { type: "window", window: windowAt(n) }, long));
    const kept = state.observations.filter((each) => each !== null);
    expect(kept.length).toBeLessThanOrEqual(10);
    expect(kept.reduce((sum, each) => sum + each.new.events, 0)).toBe(1_000 * GOOD_COUNTS.events);
    for (const [index, each] of kept.slice(1).entries()) expect(each.to).toBe(kept[index]?.from);
    expect(JSON.stringify(state).length).toBeLessThan(5_000);
  });
});

describe("parseRolloutState", () => {
  const states = [
    stateAfter(),
    stateAfter(windowAt(0)),
    stateAfter(windowAt(0, { errors: 500 })),
    stateAfter(...[0, 1, 2, 3].map((n) => windowAt(n))),
  ];

  it("accepts stored states", () => {
    for (const state of states)
      expect(parseRolloutState(JSON.parse(JSON.stringify(state)), plan)).toEqual(state);
  });

  it.each([
    [{ percent: 101 }, "`percent`"],
    [{ percent: 50 }, "`percent`"],
    [{ stage: 9 }, "`stage`"],
    [{ stage: "__proto__" }, "`stage`"],
    [{ status: "done" }, "`status`"],
    [{ status: "complete" }, "`status`"],
    [{ version: 0 }, "`version`"],
    [{ observedMs: null }, "`observedMs`"],
    [{ observedUntil: "now" }, "`observedUntil`"],
    [{ observations: [{}] }, "`observations`"],
    [{ observations: {} }, "`observations`"],
  ])("rejects the edit %j", (edit, field) => {
    expect(() => parseRolloutState({ ...states[1], ...edit }, plan)).toThrow(
      expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringContaining(field) }),
    );
  });

  it("rejects other values than objects", () => {
    for (const value of [undefined, null, [], "running"]) {
      expect(() => parseRolloutState(value, plan)).toThrow(
        expect.objectContaining({ code: "INVALID_INPUT" }),
      );
    }
  });
});

it.each([
  [{ stages: [] }, "`stages`"],
  [{ stages: [{ percent: 101 }] }, "`stages[0].percent`"],
  [{ stages: [{ percent: Number.NaN }] }, "`stages[0].percent`"],
  [{ stages: [{ percent: 5 }, { percent: 100 }] }, "`stages[0].hours`"],
  [{ stages: [{ percent: 5, hours: 1 }, { percent: 5 }] }, "`stages[1].percent`"],
  [
    {
      stages: [
        { percent: 5, hours: 1 },
        { percent: 100, hours: 1 },
      ],
    },
    "`stages[1].hours` is not allowed",
  ],
  [{ stages: [null] }, "`stages[0].percent`"],
  [{ windowMs: 10 }, "`windowMs`"],
  [{ maxErrorRate: 1 }, "`maxErrorRate`"],
  [{ minEvents: 0 }, "`minEvents`"],
  [{ windows: 1 }, "Unknown option `windows`"],
])("createPlan rejects %j", (options, message) => {
  expect(() => createPlan(options as PlanOptions)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
  );
});
