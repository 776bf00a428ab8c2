import { describe, expect, it } from "vitest";
import {
  createPlan,
  nextState,
  type ObservedWindow,
  type RolloutState,
  type SideCounts,
  startRollout,
} from "../index.ts";

const START = Date.UTC(2026, 0, 1);

/** Mulberry32: the same numbers in each run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws how many of `all` events fail, by the gaps between failures. */
function failures(random: () => number, all: number, rate: number): number {
  let count = 0;
  for (let at = gap(random, rate); at < all; at += gap(random, rate) + 1) count++;
  return count;
}

function gap(random: () => number, rate: number): number {
  return Math.floor(Math.log(1 - random()) / Math.log(1 - rate));
}

interface Load {
  readonly events: number;
  readonly connects: number;
  readonly errorRate: number;
  readonly failureRate: number;
  /** Factor of the latency, which has a long tail. */
  readonly slowness: number;
}

type Latencies = Pick<SideCounts, "latencies" | "latencySum" | "latencySquares">;

/** Draws log-normal latencies with a median of 20 ms. */
function drawLatencies(random: () => number, { events, slowness }: Load): Latencies {
  let [latencySum, latencySquares] = [0, 0];
  for (let n = 0; n < events; n++) {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const ms = 20 * slowness * Math.exp(normal);
    latencySum += ms;
    latencySquares += ms ** 2;
  }
  return { latencies: events, latencySum, latencySquares };
}

/** Latencies come from a pool, because drawing each would take minutes. */
const POOL = 60;

/** Returns a function that draws counts of a load. */
function counter(random: () => number, load: Load): () => SideCounts {
  const pool = Array.from({ length: POOL }, () => drawLatencies(random, load));
  return () => ({
    events: load.events,
    errors: failures(random, load.events, load.errorRate),
    connects: load.connects,
    connectFailures: failures(random, load.connects, load.failureRate),
    ...pool[Math.floor(random() * POOL)]!,
  });
}

/** Returns a function that picks one of many drawn counts. For the old side, whose load is large. */
function pooled(draw: () => SideCounts): () => SideCounts {
  const pool = Array.from({ length: 1_000 }, draw);
  let next = 0;
  return () => pool[next++ % pool.length]!;
}

const plan = createPlan();
/** Windows of a whole rollout. */
const WINDOWS = ((24 + 48 + 48) * 3_600_000) / plan.windowMs;

function windowAt(index: number, old: SideCounts, fresh: SideCounts): ObservedWindow {
  const from = START + index * plan.windowMs;
  return { from, to: from + plan.windowMs, old, new: fresh };
}

/** Runs windows until the rollout ends. */
function run(windows: number, old: () => SideCounts, fresh: () => SideCounts): RolloutState {
  let state = startRollout(plan, START);
  for (let index = 0; index < windows && state.status === "running"; index++) {
    ({ state } = nextState(state, { type: "window", window: windowAt(index, old(), fresh()) }, plan));
  }
  return state;
}

/** Returns the share of runs that roll back, by the trigger. */
function rollbackRate(
  runs: number,
  windows: number,
  seed: number,
  oldLoad: Load,
  newLoad: Load,
  trigger?: string,
): number {
  const random = randomFrom(seed);
  const [old, fresh] = [pooled(counter(random, oldLoad)), counter(random, newLoad)];
  let rolledBack = 0;
  for (let n = 0; n < runs; n++) {
    const { status, reason } = run(windows, old, fresh);
    if (
      status === "rolled back" &&
      (trigger === undefined || (reason as { trigger: string }).trigger === trigger)
    )
      rolledBack++;
  }
  return rolledBack / runs;
}

const HEALTHY: Load = { events: 250, connects: 60, errorRate: 0.002, failureRate: 0.0002, slowness: 1 };
/** Nineteen times the load of the new side at 5 %. */
const OLD: Load = { ...HEALTHY, events: 4_750, connects: 1_140 };

describe("the triggers, over whole rollouts of 120 hours", () => {
  it("roll back at most 1% of rollouts whose new side is like the old one", () => {
    expect(rollbackRate(100, WINDOWS, 1, OLD, HEALTHY)).toBeLessThanOrEqual(0.01);
  });

  it("roll back at most 1% of rollouts whose rates and latency are at their limits", () => {
    const atLimits = { ...HEALTHY, errorRate: 0.01, failureRate: 0.001, slowness: 1.2 };
    expect(rollbackRate(100, WINDOWS, 2, OLD, atLimits)).toBeLessThanOrEqual(0.01);
  });

  it("roll back at most 1% of rollouts whose both sides are equally bad", () => {
    const bad = { errorRate: 0.03, failureRate: 0.01 };
    expect(rollbackRate(100, WINDOWS, 3, { ...OLD, ...bad }, { ...HEALTHY, ...bad })).toBeLessThanOrEqual(
      0.01,
    );
  });
});

describe("the triggers, within one window", () => {
  const large = (overrides: Partial<Load>): Load => ({
    ...HEALTHY,
    events: 8_000,
    connects: 80_000,
    ...overrides,
  });

  it.each([
    ["error rates of twice the limit", "errors", { errorRate: 0.02 }],
    ["connection failures of twice the limit", "connections", { failureRate: 0.002 }],
    ["latencies up by twice the limit", "latency", { slowness: 1.4 }],
  ])("miss %s in at most 5 of 100 windows", (_what, trigger, regression) => {
    const found = rollbackRate(1_000, 1, 4, { ...OLD, events: 20_000 }, large(regression), trigger);
    expect(found).toBeGreaterThanOrEqual(0.95);
  });

  it.each([
    ["a fifth of events fails", "errors", { errorRate: 0.2 }],
    ["a fifth of connects fails", "connections", { failureRate: 0.2 }],
    ["latency is three times as high", "latency", { slowness: 3 }],
  ])("find it at a small load when %s", (_what, trigger, regression) => {
    const found = rollbackRate(1_000, 1, 5, OLD, { ...HEALTHY, ...regression }, trigger);
    expect(found).toBeGreaterThanOrEqual(0.95);
  });
});

it("the triggers find a doubled error rate at a small load within 64 windows", () => {
  const found = rollbackRate(300, 64, 6, OLD, { ...HEALTHY, errorRate: 0.02 }, "errors");
  expect(found).toBeGreaterThanOrEqual(0.95);
});
