import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Alarms } from "./alarms.ts";
import { readStack } from "./stack.ts";

/** Reads a stack with an alarm. */
function read(properties: string) {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-alarms-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "chat.yaml");
  writeFileSync(
    file,
    `Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: WEBSOCKET } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: live } }
  Custom: { Type: Custom::Limits }
  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties: { Namespace: Chat, MetricName: Errors, Statistic: Sum, ComparisonOperator: GreaterThanThreshold, ${properties} }
`,
  );
  const stack = readStack({ file, stackName: "chat", region: "us-east-1", parameters: {} });
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
