import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { EventReport } from "../../gateway/index.ts";
import { Sampler } from "../../internal/sampler.ts";
import { eventLog } from "./event-log.ts";

const report = {
  routeKey: "say",
  connectionId: "L0SM9cOFvHcCIhw=",
  requestId: "r",
  status: 200,
  durationMs: 1,
};

function lines(reports: readonly EventReport[]): string[] {
  const stdout = new PassThrough();
  const log = eventLog({ stdout, stderr: new PassThrough() }, new Sampler(() => 0));
  for (const one of reports) log(one);
  return String(stdout.read() ?? "")
    .split("\n")
    .slice(0, -1);
}

describe("eventLog", () => {
  it("writes a line for each event that a handler was asked about", () => {
    expect(lines(Array(50).fill(report))).toHaveLength(50);
  });

  it("writes few lines of many refused messages, with their count", () => {
    const written = lines(Array(10_000).fill({ ...report, status: 429, durationMs: 0 }));
    expect(written.length).toBeLessThan(20);
    expect(written.at(-1)).toContain("10000 refused with 429");
  });
});
