import { describe, expect, it } from "vitest";
import type { SideCounts } from "../../src/rollout/index.ts";
import { reportPage } from "./report.ts";
import type { ScenarioResult } from "./scenario.ts";

const COUNTS: SideCounts = {
  events: 100,
  errors: 5,
  connects: 10,
  connectFailures: 0,
  latencies: 100,
  latencySum: 2_000,
  latencySquares: 41_000,
};

const RESULT: ScenarioResult = {
  fault: "errors",
  seconds: [0, 1, 2].map((at) => ({ at, percent: 25, old: COUNTS, new: COUNTS })),
  faultAt: 1,
  badWindows: 0,
  endedAt: 2,
  status: "rolled back",
  reason: "error rate of 5 % exceeds <1 %",
  kills: 3,
  load: { attempts: 10, failedAttempts: 0, dropped: 0, sent: 100, answered: 100, moved: 1 },
  refused: 0,
  comparison: { rows: 10, different: 0 },
};

describe("reportPage", () => {
  const target = { name: "lost rows", want: "0", got: "2", holds: false };
  const page = reportPage({
    date: "2026-11-29T10:00:00.000Z",
    targets: [target, { ...target, got: "0", holds: true }],
    scenarios: [RESULT, { ...RESULT, fault: "none" }],
    rows: [{ name: "memory", written: 1_000, swaps: 6, wrong: 2 }],
  });

  it("has a chart for each rollout, of the measure that gets worse", () => {
    const chartOf = (counts: SideCounts) =>
      reportPage({
        date: "2026-11-29T10:00:00.000Z",
        targets: [],
        scenarios: [{ ...RESULT, seconds: RESULT.seconds.map((second) => ({ ...second, new: counts })) }],
        rows: [],
      });
    // Ids of elements count up in a process.
    const shapes = (counts: SideCounts) => chartOf(counts).match(/ d="[^"]*"/g);
    expect(shapes(COUNTS)).toEqual(shapes({ ...COUNTS, connectFailures: 5 }));
    expect(shapes(COUNTS)).not.toEqual(shapes({ ...COUNTS, errors: 50 }));
  });

  it("marks when the new side got worse", () => {
    expect(page.match(/<svg/g)).toHaveLength(2);
    expect(page).toContain("made worse");
    expect(page).toContain("Errors at 25 %");
  });

  it("says how many targets are missed", () => {
    expect(page).toContain("1 of 2 targets are missed.");
    expect(page).toContain('<td class="no">NO</td>');
    expect(page).toContain("<td>1,000</td><td>6</td><td>2</td>");
  });

  it("escapes texts", () => {
    expect(page).toContain("exceeds &#60;1 %");
    expect(page).not.toContain("exceeds <1 %");
  });
});
