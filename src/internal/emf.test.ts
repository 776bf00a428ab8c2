import { expect, it, vi } from "vitest";
import { emfLine, writeEmf } from "./emf.ts";

it("is a line that CloudWatch can parse", () => {
  const directive = { namespace: "My/App", dimensions: [["Stage"]], units: { Events: "Count" } };
  const line = emfLine(1_700_000_000_000, [directive], { Stage: "test", Events: 1 });
  expect(JSON.parse(line)).toEqual({
    _aws: {
      Timestamp: 1_700_000_000_000,
      CloudWatchMetrics: [
        { Namespace: "My/App", Dimensions: [["Stage"]], Metrics: [{ Name: "Events", Unit: "Count" }] },
      ],
    },
    Stage: "test",
    Events: 1,
  });
});

it("is written to standard output unchanged, even if the console wraps its lines", () => {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  // Lambda's runtime wraps lines like this for the log format JSON.
  const log = vi.spyOn(console, "log").mockImplementation((message) => {
    process.stdout.write(`${JSON.stringify({ level: "INFO", message })}\n`);
  });
  writeEmf('{"_aws":{}}');
  expect(write.mock.calls).toEqual([['{"_aws":{}}\n']]);
  expect(log).not.toHaveBeenCalled();
});
