import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkLog } from "./checker.ts";
import type { LogEntry } from "./log.ts";
import { type ReferenceLogOptions, referenceLog } from "./reference-log.ts";
import { SEEDED_LOG_BUGS } from "./seeded-log-bugs.ts";
import { SEEDED_REQUEST_LOG_BUGS } from "./seeded-request-log-bugs.ts";

const BUGS = { ...SEEDED_LOG_BUGS, ...SEEDED_REQUEST_LOG_BUGS };

const SEEDS = fc.integer({ min: 0, max: 2 ** 31 });

/** Indexes of the entries of a kind. */
function indexesOf(log: readonly LogEntry[], kind: LogEntry["kind"]): number[] {
  return log.flatMap((entry, at) => (entry.kind === kind ? [at] : []));
}

describe("the checker", () => {
  it("finds no violation in a reference log", () => {
    const counts = { delivered: 0, lost: 0, recovered: 0 };
    fc.assert(
      fc.property(SEEDS, fc.boolean(), (seed, durable) => {
        const log = referenceLog({ seed, durable });
        expect(checkLog(log)).toEqual([]);
        counts.delivered += indexesOf(log, "delivered").length;
        counts.lost += indexesOf(log, "lost").length;
        counts.recovered += log.filter(
          (entry) => entry.kind === "answered" && entry.recovered === true,
        ).length;
      }),
      { numRuns: 100 },
    );
    expect(Math.min(counts.delivered / 10, counts.lost, counts.recovered)).toBeGreaterThan(50);
  });

  it.each(Object.entries(BUGS))("finds %s", (_name, { seed: seedBug, expected }) => {
    let seeded = 0;
    fc.assert(
      fc.property(SEEDS, fc.boolean(), fc.nat(), (seed, durable, where) => {
        const options: ReferenceLogOptions = { seed, durable };
        const log = seedBug(referenceLog(options), where);
        if (log === undefined) return;
        seeded++;
        expect(checkLog(log).join("\n")).toMatch(expected);
      }),
      { numRuns: 60 },
    );
    // Half of the logs are durable, and some bugs apply to those only.
    expect(seeded).toBeGreaterThan(10);
  });

  it.each([
    { seen: 2_000, violations: [] },
    { seen: 1_010, violations: [expect.stringContaining("lacks a recovered: false")] },
  ])(
    "allows a message in the history for its age after it was seen first, at $seen",
    ({ seen, violations }) => {
      const feed = { tenant: "a", channel: "brief:feed" };
      const message = (offset: number, at: number) => ({
        uid: `u${offset}`,
        origin: feed,
        position: { epoch: "e", offset },
        at,
      });
      const messages = [message(1, 1_000), message(2, 1_001)];
      const brief = { size: 100, ageMs: 700, presence: false };
      const run = { seed: 1, store: "memory", durable: false, namespaces: { brief }, users: { a: ["ada"] } };
      const answered = {
        action: "history",
        asked: 2_100,
        position: { epoch: "e", offset: 2 },
        more: false,
      } as const;
      const log: LogEntry[] = [
        { t: 0, kind: "run", ...run },
        ...messages.map(({ uid }): LogEntry => ({ t: 1_000, kind: "asked", uid, by: "ada", ...feed })),
        ...messages.map((each): LogEntry => ({ t: seen, kind: "received", client: "ada", ...feed, ...each })),
        ...messages.map(
          ({ uid, position }): LogEntry => ({ t: seen, kind: "accepted", uid, position, ...feed }),
        ),
        {
          ...{ t: 2_150, kind: "answered", client: "ada", ...feed, ...answered },
          ...{ after: { epoch: "e", offset: 1 }, recovered: true, messages: messages.slice(1) },
        },
        { t: 3_000, kind: "end" },
      ];
      expect(checkLog(log)).toEqual(violations);
    },
  );

  it("reports a log without an end", () => {
    const log = referenceLog({ seed: 1, durable: true }).filter(({ kind }) => kind !== "end");
    expect(checkLog(log)).toEqual(["The log has no end"]);
  });
});
