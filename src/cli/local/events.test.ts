import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { readStackWith } from "../../../test/support/read-stack.ts";
import { readEventSources, readSchedules } from "./events.ts";
import type { StackFunctions } from "./functions.ts";
import { Callers } from "./roles.ts";

const functions = { find: () => ({}) } as unknown as StackFunctions;

/** Reads the schedules of a stack with this one. */
function read(properties: string, type = "AWS::Scheduler::Schedule") {
  const stack = readStackWith(`  Nightly:
    Type: ${type}
    Properties: { Target: { Arn: tick }, ${properties} }
`);
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

it.each([
  ["AWS::Events::Rule", "A rule needs an `EventPattern` or a `ScheduleExpression`"],
  ["AWS::Scheduler::Schedule", "A schedule needs a `ScheduleExpression`"],
])("refuses %s that nothing would start", (type, message) => {
  expect(() => read("State: ENABLED", type)).toThrow(`chat.yaml:4: Nightly: ${message}`);
});

it("takes a unit in the singular or plural for a schedule of EventBridge Scheduler, but no 0", () => {
  const [two] = read("ScheduleExpression: rate(2 minute)").schedules;
  expect(two?.when).toEqual({ everyMs: 120_000 });
  expect(() => read("ScheduleExpression: rate(0 minute)")).toThrow("the number must be positive");
});

it("refuses the input of a target that is not JSON", () => {
  expect(() => read("ScheduleExpression: rate(1 hour), Targets: [{ Arn: tick, Input: '{' }]")).toThrow(
    'chat.yaml:4: Nightly: The `Input` of a target must be JSON; got "{"',
  );
});

/** Reads the event source of a stack, after the properties that it always has. */
function readSource(properties: string) {
  const stack = readStackWith(`  Table:
    Type: AWS::DynamoDB::Table
    Properties: { StreamSpecification: { StreamViewType: NEW_IMAGE } }
  Handler:
    Type: AWS::Lambda::Function
    Properties: { Runtime: nodejs24.x, Role: 'arn:aws:iam::1:role/other', Code: { ZipFile: '' } }
  Source:
    Type: AWS::Lambda::EventSourceMapping
    Properties: { EventSourceArn: !GetAtt Table.StreamArn, FunctionName: !Ref Handler, ${properties} }
`);
  return readEventSources(stack, functions, new Callers(stack));
}

const LATEST = "StartingPosition: LATEST";

it("reads an event source up to Lambda's limits", () => {
  const limits =
    "BatchSize: 10000, MaximumBatchingWindowInSeconds: '300', MaximumRetryAttempts: 0, MaximumRecordAgeInSeconds: 60";
  const filter = `FilterCriteria: { Filters: [{ Pattern: '{"eventName":["INSERT"]}' }] }`;
  const [source] = readSource(`${LATEST}, ${limits}, ${filter}`);
  expect(source).toMatchObject({ tableName: "chat-Table", functionName: "chat-Handler" });
  expect(source?.settings).toEqual({
    ...{ startingPosition: "LATEST", batchSize: 10_000, batchWindowMs: 300_000, maxRetries: 0 },
    ...{ maxRecordAgeMs: 60_000, bisectOnError: false, reportBatchItemFailures: false },
    filter: { eventName: ["INSERT"] },
  });
});

it("reads -1 as no limit of retries and of the age", () => {
  const [source] = readSource(`${LATEST}, MaximumRetryAttempts: -1, MaximumRecordAgeInSeconds: -1`);
  expect(Object.keys(source!.settings)).not.toContain("maxRetries");
  expect(Object.keys(source!.settings)).not.toContain("maxRecordAgeMs");
});

it.each([
  ["BatchSize: 1", "`StartingPosition` must be TRIM_HORIZON or LATEST; got nothing"],
  ["StartingPosition: X", '`StartingPosition` must be TRIM_HORIZON or LATEST; got "X"'],
  [`${LATEST}, BatchSize: 0`, "`BatchSize` must be a whole number from 1 to 10000; got 0"],
  [`${LATEST}, BatchSize: 10001`, "`BatchSize` must be a whole number from 1 to 10000; got 10001"],
  [`${LATEST}, BatchSize: abc`, '`BatchSize` must be a whole number from 1 to 10000; got "abc"'],
  [`${LATEST}, MaximumBatchingWindowInSeconds: 301`, "`MaximumBatchingWindowInSeconds` must be a whole"],
  [`${LATEST}, MaximumRetryAttempts: -2`, "`MaximumRetryAttempts` must be a whole number from -1 to 10000"],
  [
    `${LATEST}, MaximumRecordAgeInSeconds: 59`,
    "`MaximumRecordAgeInSeconds` must be -1, or 60 or more; got 59",
  ],
  [`${LATEST}, ParallelizationFactor: 11`, "`ParallelizationFactor` must be a whole number from 1 to 10"],
  [`${LATEST}, TumblingWindowInSeconds: 901`, "`TumblingWindowInSeconds` must be a whole number from 0"],
  [`${LATEST}, FilterCriteria: a`, "`FilterCriteria` must have a list of `Filters`"],
  [`${LATEST}, FilterCriteria: { Filters: [a] }`, "`FilterCriteria` must have a list of `Filters`"],
  [
    `${LATEST}, FilterCriteria: { Filters: [{ Pattern: '{' }] }`,
    'The `Pattern` of a filter must be a JSON object; got "{"',
  ],
  [
    `${LATEST}, FilterCriteria: { Filters: [{}] }`,
    "The `Pattern` of a filter must be a JSON object; got nothing",
  ],
  [
    `${LATEST}, FilterCriteria: { Filters: [{ Pattern: '{"a":[{"numeric":[">",1]}]}' }] }`,
    "The filter does not run here: `filter` must have a list of values, { prefix } or { exists }",
  ],
])("refuses an event source with %s, and names it", (properties, message) => {
  expect(() => readSource(properties)).toThrow(`chat.yaml:10: Source: ${message}`);
});
