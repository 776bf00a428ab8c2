import { expect, it } from "vitest";
import { readStackWith } from "../../../test/support/read-stack.ts";
import { Alarms } from "./alarms.ts";

/** Reads a stack with an alarm. */
function read(properties: string, statistic = "Sum") {
  const stack = readStackWith(`  Custom: { Type: Custom::Limits }
  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties: { Namespace: Chat, MetricName: Errors, Statistic: ${statistic}, ComparisonOperator: GreaterThanThreshold, ${properties} }
`);
  const fired: string[] = [];
  const alarms = new Alarms(stack, (line) => fired.push(line));
  return { alarms, fired, notRun: Object.fromEntries(stack.notRun) };
}

it.each(["0.5", "'0.5'", "5e-1"])("fires above its threshold, %s", (threshold) => {
  const { alarms, fired } = read(`Threshold: ${threshold}`);
  const metric = { namespace: "Chat", name: "Errors", dimensions: {} };
  alarms.record({ ...metric, value: 0.5 });
  expect(fired).toEqual([]);
  alarms.record({ ...metric, value: 0.1 });
  expect(fired).toEqual(["ALARM Errors: "]);
});

it.each([
  ["Sum", 200_000],
  ["Maximum", 2],
  ["Minimum", 1],
  ["Average", 1],
])("takes 200,000 values in a period, by %s", (statistic, threshold) => {
  const { alarms, fired } = read(`Threshold: ${threshold}`, statistic);
  const metric = { namespace: "Chat", name: "Errors", dimensions: {} };
  for (let index = 0; index < 200_000; index++) alarms.record({ ...metric, value: 1 });
  expect(fired).toEqual([]);
  for (const value of [3, 3]) alarms.record({ ...metric, value });
  expect(fired).toEqual(statistic === "Minimum" ? [] : ["ALARM Errors: "]);
});

it("is listed with a threshold of a resource that does not run here", () => {
  expect(read("Threshold: !GetAtt Custom.Most").notRun).toHaveProperty("an alarm on an expression", [
    "Errors",
  ]);
});

it.each([
  ["Threshold: abc", '`Threshold` must be a number; got "abc"'],
  ["Threshold: ''", '`Threshold` must be a number; got ""'],
  ["Threshold: 1, Period: 0", "`Period` must be a whole number from 1 to 604800; got 0"],
  ["Threshold: 1, Period: abc", '`Period` must be a whole number from 1 to 604800; got "abc"'],
])("is refused with %s, and named", (properties, message) => {
  expect(() => read(properties)).toThrow(`chat.yaml:5: Errors: ${message}`);
});
