import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect, it, onTestFinished } from "vitest";
import { readSchedules } from "./events.ts";
import type { StackFunctions } from "./functions.ts";
import { readStack } from "./stack.ts";

/** Reads the schedules of a stack with this one. */
function read(properties: string, type = "AWS::Scheduler::Schedule") {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-schedules-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "chat.yaml");
  writeFileSync(
    file,
    `Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: WEBSOCKET } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: live } }
  Nightly:
    Type: ${type}
    Properties: { Target: { Arn: tick }, ${properties} }
`,
  );
  const stack = readStack({ file, stackName: "chat", region: "us-east-1", parameters: {} });
  const functions = { find: () => ({}) } as unknown as StackFunctions;
  const terminal = { stdout: new PassThrough(), stderr: new PassThrough() };
  const schedules = readSchedules(stack, functions, terminal);
  return { schedules, notRun: Object.fromEntries(stack.notRun) };
}

it("has the interval of a rate, and the times of a cron", () => {
  expect(read("ScheduleExpression: rate(2 hours)").schedules).toMatchObject([
    { when: { everyMs: 7_200_000 } },
  ]);
  const [{ when } = { when: { everyMs: 0 } }] = read("ScheduleExpression: 'cron(0 3 * * ? *)'").schedules;
  expect("next" in when && when.next(0)).toBe(3 * 3_600_000);
});

it.each([
  ["ScheduleExpression: 'at(2030-01-01T00:00:00)'", "at(2030-01-01T00:00:00)"],
  [
    "ScheduleExpression: 'cron(0 3 * * ? *)', ScheduleExpressionTimezone: Europe/Paris",
    "cron(0 3 * * ? *) in Europe/Paris",
  ],
  ["ScheduleExpression: 'cron(0 3 * * ? *)', State: DISABLED", "a schedule that is off"],
])("lists as not run: %s", (properties, reason) => {
  expect(read(properties)).toEqual({ schedules: [], notRun: { [reason]: ["Nightly"] } });
});

it("refuses a cron that EventBridge refuses, and names the resource and the field", () => {
  expect(() => read("ScheduleExpression: 'cron(0 25 * * ? *)'")).toThrow(
    /chat\.yaml:4: Nightly: Invalid schedule `cron\(0 25 \* \* \? \*\)`: `25` is not valid for hours: 0 to 23/,
  );
});

it.each([
  ["rate(0 minutes)", "the number must be positive"],
  ["rate(1 minutes)", "expected `1 minute`"],
  ["rate(2 minute)", "expected `2 minutes`"],
  ["rate(5 seconds)", "expected cron"],
  ["rate(1.5 hours)", "expected cron"],
  ["at(2030-01-01T00:00:00)", "expected cron"],
  ["hourly", "expected cron"],
  ["", "expected cron"],
])("refuses the schedule %s of a rule, and names the resource", (expression, reason) => {
  expect(() => read(`ScheduleExpression: '${expression}'`, "AWS::Events::Rule")).toThrow(
    `chat.yaml:4: Nightly: Invalid schedule \`${expression}\`: ${reason}`,
  );
});

it("takes a unit in the singular or plural for a schedule of EventBridge Scheduler, but no 0", () => {
  const [two] = read("ScheduleExpression: rate(2 minute)").schedules;
  expect(two?.when).toEqual({ everyMs: 120_000 });
  expect(() => read("ScheduleExpression: rate(0 minute)")).toThrow("the number must be positive");
});
