import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judge } from "./checker.ts";
import type { Entry } from "./log.ts";
import { type Faithful, faithfulLog } from "./reference-log.ts";
import { PLANTS } from "./seeded-log-bugs.ts";

const SEEDS = fc.integer({ min: 0, max: 2 ** 31 });

/** Where a subscription's entries of a kind are in a log. */
function lines(log: readonly Entry[], kind: Entry["kind"]): number[] {
  return log.flatMap((entry, at) => (entry.kind === kind ? [at] : []));
}

describe("the judge", () => {
  it("finds nothing wrong with a log in which every promise is kept", () => {
    const counts = { handed: 0, lost: 0, recovered: 0 };
    fc.assert(
      fc.property(SEEDS, fc.boolean(), (seed, durable) => {
        const log = faithfulLog({ seed, durable });
        expect(judge(log)).toEqual([]);
        counts.handed += lines(log, "handed").length;
        counts.lost += lines(log, "lost").length;
        counts.recovered += log.filter(
          (entry) => entry.kind === "answered" && entry.recovered === true,
        ).length;
      }),
      { numRuns: 100 },
    );
    expect(Math.min(counts.handed / 10, counts.lost, counts.recovered)).toBeGreaterThan(50);
  });

  it.each(Object.entries(PLANTS))("finds %s", (_name, { plant, found }) => {
    let planted = 0;
    fc.assert(
      fc.property(SEEDS, fc.boolean(), fc.nat(), (seed, durable, where) => {
        const options: Faithful = { seed, durable };
        const log = plant(faithfulLog(options), where);
        if (log === undefined) return;
        planted++;
        expect(judge(log).join("\n")).toMatch(found);
      }),
      { numRuns: 60 },
    );
    // Half of the logs are durable, and some bugs have no place in the others.
    expect(planted).toBeGreaterThan(10);
  });

  it("takes no log for whole that has no end", () => {
    const log = faithfulLog({ seed: 1, durable: true }).filter(({ kind }) => kind !== "end");
    expect(judge(log)).toEqual(["The log has no end"]);
  });
});
