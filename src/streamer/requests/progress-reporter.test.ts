import { afterEach, beforeEach, expect, it, vi } from "vitest";
import * as z from "zod";
import type { RequestProgress } from "../../store/index.ts";
import { ProgressReporter } from "./progress-reporter.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const logger = { debug() {}, info() {}, warn: vi.fn(), error() {} };

function reporter(schema?: z.ZodType) {
  const sent: RequestProgress[] = [];
  const stored: RequestProgress[] = [];
  const progress = new ProgressReporter({
    schema,
    logger,
    send: async (reported) => sent.push(reported),
    store: async (reported) => stored.push(reported),
  });
  return { progress, sent, stored };
}

const percentages = (all: readonly RequestProgress[]) => all.map(({ percentage }) => percentage);

it("sends at most ten a second and stores one, the latest of each interval", async () => {
  const { progress, sent, stored } = reporter();
  for (let n = 0; n < 200; n++) {
    progress.report(n / 2);
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(sent.length).toBeGreaterThanOrEqual(20);
  expect(sent.length).toBeLessThanOrEqual(21);
  expect(stored.length).toBeLessThanOrEqual(3);
  expect(percentages(sent)).toEqual([...percentages(sent)].sort((one, other) => one - other));
});

it("sends the last one before its end, and nothing after it", async () => {
  const { progress, sent } = reporter();
  progress.report(10);
  progress.report(20);
  progress.report(30);
  await progress.close();
  progress.report(40);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(percentages(sent)).toEqual([10, 30]);
});

it("has sent the last one when it ends, however long that takes, and returns it unless it is stored", async () => {
  const waiting: (() => void)[] = [];
  const [sent, stored]: RequestProgress[][] = [[], []];
  const takeSlowly = (taken: RequestProgress[] | undefined) => async (progress: RequestProgress) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    taken!.push(progress);
  };
  const options = { schema: undefined, logger };
  const progress = new ProgressReporter({ ...options, send: takeSlowly(sent), store: takeSlowly(stored) });
  progress.report(10);
  progress.report(50);
  let isClosed = false;
  const closed = progress.close().then((unstored) => {
    isClosed = true;
    return unstored;
  });
  for (let pass = 0; pass < 2; pass++) {
    // Longer than each interval.
    await vi.advanceTimersByTimeAsync(5_000);
    expect(isClosed).toBe(false);
    for (const finish of waiting.splice(0)) finish();
  }
  expect(await closed).toEqual({ percentage: 50 });
  expect([percentages(sent!), percentages(stored!)]).toEqual([[10, 50], [10]]);
  // The write of the end failed.
  expect(await progress.close()).toEqual({ percentage: 50 });
});

it("returns nothing when the last one is stored", async () => {
  const { progress, stored } = reporter();
  progress.report(10);
  expect(await progress.close()).toBeUndefined();
  expect(percentages(stored)).toEqual([10]);
});

it("sends nothing more once it is cancelled", async () => {
  const { progress, sent, stored } = reporter();
  progress.report(10);
  progress.report(20);
  progress.cancel();
  await vi.advanceTimersByTimeAsync(5_000);
  expect([percentages(sent), percentages(stored)]).toEqual([[10], [10]]);
});

it.each([
  [Number.NaN, 25],
  ["50" as unknown as number, 25],
  [-5, 0],
  [1e308, 100],
  [Number.POSITIVE_INFINITY, 100],
  [33.3, 33.3],
])("takes %s after 25 as %s percent", async (given, percentage) => {
  const { progress, sent } = reporter();
  progress.report(25);
  progress.report(given);
  await progress.close();
  expect(percentages(sent)).toEqual([25, percentage]);
});

it.each([
  [
    "circular",
    (() => {
      const details: { self?: unknown } = {};
      details.self = details;
      return details;
    })(),
  ],
  ["not JSON", () => {}],
  ["too large", "x".repeat(10_000)],
  ["not of their schema", { rows: "many" }],
])("drops details that are %s, and keeps the rest", async (_, details) => {
  const { progress, sent } = reporter(
    _ === "not of their schema" ? z.object({ rows: z.number() }) : undefined,
  );
  progress.report(50, "half", details);
  await progress.close();
  expect(sent).toEqual([{ percentage: 50, message: "half" }]);
  expect(logger.warn).toHaveBeenCalled();
});

it("drops a message that is no text and cannot be one", async () => {
  const { progress, sent } = reporter();
  progress.report(10, Object.create(null));
  await progress.close();
  expect(sent).toEqual([{ percentage: 10 }]);
  expect(logger.warn).toHaveBeenCalledWith("The message of a progress was dropped", expect.anything());
});

it("shortens a long message", async () => {
  const { progress, sent } = reporter();
  progress.report(50, "x".repeat(5_000));
  await progress.close();
  expect(sent[0]?.message).toHaveLength(1_000);
});

it("has the details as their schema returns them", async () => {
  const { progress, sent } = reporter(z.object({ done: z.coerce.number() }));
  progress.report(10, undefined, { done: "5" });
  await progress.close();
  expect(sent).toMatchObject([{ details: { done: 5 } }]);
});
