import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { emfLine } from "../../internal/emf.ts";
import { embeddedMetrics } from "./metrics.ts";

const DIRECTIVE = {
  namespace: "Chat",
  dimensions: [["Stage"], ["Stage", "Route"]],
  units: { Failed: "Count" },
};
const LINE = emfLine(0, [DIRECTIVE], { Stage: "prod", Route: "say", Failed: 2 });

describe("the metrics of a line", () => {
  it.each([
    ["as it is written", LINE],
    ["after Lambda's time and request", `2026-01-01T00:00:00.000Z\tid\tINFO\t${LINE}`],
  ])("are those of each set of dimensions: %s", (_, line) => {
    const metric = { namespace: "Chat", name: "Failed", value: 2 };
    expect(embeddedMetrics(line)).toEqual([
      { ...metric, dimensions: { Stage: "prod" } },
      { ...metric, dimensions: { Stage: "prod", Route: "say" } },
    ]);
  });

  it.each(["", "START RequestId: 1", '{"_aws"', '{"level":"info"}', '"_aws"'])("are none: %s", (line) => {
    expect(embeddedMetrics(line)).toEqual([]);
  });

  it("never throw, whatever a function prints", () => {
    const part = fc.jsonValue();
    const metrics = fc.oneof(
      part,
      fc.array(fc.oneof(part, fc.record({ Namespace: part, Dimensions: part, Metrics: part }))),
    );
    const aws = fc.oneof(part, fc.record({ CloudWatchMetrics: metrics }));
    fc.assert(
      fc.property(aws, (_aws) => {
        expect(embeddedMetrics(JSON.stringify({ _aws }))).toBeInstanceOf(Array);
      }),
    );
  });
});
