import { randomUUID } from "node:crypto";
import {
  type FilterPattern,
  isUnknown,
  LambdaEmulatorError,
  pollTableStream,
  type ResolvedResource,
  type TableStreamEvent,
  type TableStreamPoller,
  type Value,
  type ValueMap,
} from "../../lambda-emulator/index.ts";
import type { Terminal } from "../arguments.ts";
import { CliError } from "../errors.ts";
import { logError } from "../log.ts";
import type { Metric } from "./alarms.ts";
import { type Cron, parseCron } from "./cron.ts";
import { functionNameOf, type StackFunctions } from "./functions.ts";
import { batchMetrics, queueMetrics } from "./metrics.ts";
import { mayInvoke } from "./permissions.ts";
import type { Callers } from "./roles.ts";
import { mapsOf, numberOf, textOf } from "./properties.ts";
import type { Stack } from "./stack.ts";
import { type DynamoDBAccessKeys, tableOfStream } from "./tables.ts";

/** What an event source needs to read a stream: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html */
const STREAM_ACTIONS = ["DescribeStream", "GetRecords", "GetShardIterator"];

/** What the streams of a stack are read with. */
export interface StreamOptions {
  readonly functions: StackFunctions;
  readonly callers: Callers;
  readonly access: DynamoDBAccessKeys;
  readonly terminal: Terminal;
  readonly onMetric: (metric: Metric) => void;
}

/** Passes the records of the stack's table streams to its functions. @throws {TemplateError}; {CliError} FAILED */
export async function startTableStreams(stack: Stack, options: StreamOptions): Promise<TableStreamPoller[]> {
  const { functions, callers, access, terminal, onMetric } = options;
  const log = (error: unknown) => logError(error, terminal.stderr);
  const pollers: TableStreamPoller[] = [];
  const letters = new Map<string, number>();
  /** Counts a message: nobody reads the queue of an event source's failures here. */
  const sendToQueue = ({ properties }: ResolvedResource) => {
    const [onFailure] = mapsOf(mapsOf(properties.DestinationConfig)[0]?.OnFailure);
    const queue = onFailure && textOf(onFailure, "Destination")?.split(":").at(-1);
    if (queue === undefined) return;
    letters.set(queue, (letters.get(queue) ?? 0) + 1);
    for (const metric of queueMetrics(queue, letters.get(queue)!)) onMetric(metric);
  };
  for (const source of stack.ofType("AWS::Lambda::EventSourceMapping")) {
    const { properties } = source;
    const arn = textOf(properties, "EventSourceArn") ?? "";
    const table = tableOfStream(stack, arn);
    const name = functionNameOf(textOf(properties, "FunctionName") ?? "");
    const found = functions.find(name);
    if (table === undefined || found === undefined || textOf(properties, "Enabled") === "false") {
      const off =
        found === undefined
          ? "an event source of a function that does not run"
          : "an event source that is off";
      stack.skip(source.logicalId, table === undefined ? `an event source ${arn}` : off);
      continue;
    }
    const { accessKeyId } = callers.of(name);
    const requests = STREAM_ACTIONS.map((action) => ({ action: `dynamodb:${action}`, resource: arn }));
    const decision = callers.decide(accessKeyId, ...requests);
    // The service refuses to create such a mapping.
    if (!decision.allowed) throw stack.error("POLICY_INVALID", decision.reason, source);
    pollers.push(
      await openStream({
        ...readSource(stack, source),
        ...access,
        tableName: table.ref,
        handler(event: TableStreamEvent) {
          for (const metric of batchMetrics(name, event, Date.now())) onMetric(metric);
          return functions.invoke(name, event).catch((error: unknown) => {
            log(error);
            throw error;
          });
        },
        onFailure({ condition, records }) {
          log(`Discarded ${records.length} records: ${condition}`);
          sendToQueue(source);
        },
        onError: log,
      }),
    );
  }
  return pollers;
}

async function openStream(options: Parameters<typeof pollTableStream>[0]): Promise<TableStreamPoller> {
  try {
    return await pollTableStream(options);
  } catch (error) {
    if (error instanceof LambdaEmulatorError) throw new CliError("FAILED", error.message);
    throw error;
  }
}

function readSource(stack: Stack, source: ResolvedResource) {
  const { properties } = source;
  const [filter, ...others] = mapsOf(mapsOf(properties.FilterCriteria)[0]?.Filters);
  if (others.length > 0)
    throw stack.error("TEMPLATE_UNSUPPORTED", "One filter of an event source is run here", source);
  const seconds = (name: string) => {
    const value = numberOf(properties, name);
    // -1 is no limit.
    return value === undefined || value < 0 ? undefined : 1_000 * value;
  };
  const retries = numberOf(properties, "MaximumRetryAttempts");
  const [window, age] = [seconds("MaximumBatchingWindowInSeconds"), seconds("MaximumRecordAgeInSeconds")];
  const responses = [properties.FunctionResponseTypes ?? []].flat() as Value[];
  return {
    startingPosition: textOf(properties, "StartingPosition") as "TRIM_HORIZON" | "LATEST",
    batchSize: numberOf(properties, "BatchSize") ?? 100,
    ...(window !== undefined && { batchWindowMs: window }),
    ...(age !== undefined && { maxRecordAgeMs: age }),
    ...(retries !== undefined && retries >= 0 && { maxRetries: retries }),
    bisectOnError: textOf(properties, "BisectBatchOnFunctionError") === "true",
    reportBatchItemFailures: responses.includes("ReportBatchItemFailures"),
    ...(filter && { filter: JSON.parse(textOf(filter, "Pattern") ?? "{}") as FilterPattern }),
  };
}

/** A function that is called at an interval, or at the times of an expression. */
export interface Scheduled {
  readonly when: { readonly everyMs: number } | Cron;
  readonly call: () => void;
}

const UNIT_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** Returns the calls of the stack's schedules. @throws {TemplateError} for an expression that EventBridge refuses */
export function readSchedules(stack: Stack, functions: StackFunctions, terminal: Terminal): Scheduled[] {
  return stack.ofType("AWS::Events::Rule", "AWS::Scheduler::Schedule").flatMap((rule) => {
    const { properties, attributes } = rule;
    const expression = textOf(properties, "ScheduleExpression");
    if (expression === undefined) return [];
    const when = readTimes(stack, rule, expression);
    const zone = textOf(properties, "ScheduleExpressionTimezone") ?? "UTC";
    const off = textOf(properties, "State") === "DISABLED";
    if (when === undefined || off || (zone !== "UTC" && "next" in when)) {
      stack.skip(
        rule.logicalId,
        off ? "a schedule that is off" : zone === "UTC" ? expression : `${expression} in ${zone}`,
      );
      return [];
    }
    const event = () =>
      createEvent(stack, {
        source: "aws.events",
        detailType: "Scheduled Event",
        resources: [attributes.Arn!],
        detail: {},
      });
    return readTargets(stack, rule, functions, terminal).map(({ call }) => ({
      when,
      call: () => call(event()),
    }));
  });
}

/** @returns `undefined` for a time that does not run here @throws {TemplateError} for an expression that EventBridge refuses */
function readTimes(stack: Stack, rule: ResolvedResource, expression: string): Scheduled["when"] | undefined {
  if (isUnknown(expression)) return undefined;
  const isScheduler = rule.type === "AWS::Scheduler::Schedule";
  if (isScheduler && expression.startsWith("at(")) return undefined;
  const times = expression.startsWith("cron(") ? parseCron(expression) : parseRate(expression, isScheduler);
  if (typeof times !== "string") return times;
  throw stack.error("TEMPLATE_INVALID", `Invalid schedule \`${expression}\`: ${times}`, rule);
}

/**
 * Parses `rate(5 minutes)`.
 * @param isScheduler EventBridge Scheduler takes a unit in the singular or plural for any number, a rule does not
 * @returns why it is invalid, if it is
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html
 */
function parseRate(expression: string, isScheduler: boolean): { readonly everyMs: number } | string {
  const [, amount, unit, plural] = /^rate\((\d+) (minute|hour|day)(s?)\)$/.exec(expression) ?? [];
  if (unit === undefined) return "expected cron(…), or rate(…) with a number of minutes, hours or days";
  if (Number(amount) === 0) return "the number must be positive";
  if (!isScheduler && (Number(amount) === 1) !== (plural === "")) {
    return `expected \`${amount} ${unit}${plural === "" ? "s" : ""}\``;
  }
  return { everyMs: Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS] };
}

/** A function that a rule calls. */
export interface RuleTarget {
  /** Calls it with an event, or with the input that the target has. */
  readonly call: (event: unknown) => void;
}

/** Returns the functions that a rule or a schedule calls. */
export function readTargets(
  stack: Stack,
  rule: ResolvedResource,
  functions: StackFunctions,
  terminal: Terminal,
): RuleTarget[] {
  const { properties, attributes } = rule;
  const log = (error: unknown) => logError(error, terminal.stderr);
  return mapsOf(properties.Targets ?? properties.Target).flatMap((target) => {
    const name = functionNameOf(textOf(target, "Arn") ?? "");
    if (functions.find(name) === undefined) {
      stack.skip(rule.logicalId, `a target that is no function of the stack: ${textOf(target, "Arn")}`);
      return [];
    }
    if (target.InputPath !== undefined || target.InputTransformer !== undefined) {
      stack.skip(rule.logicalId, "a target with `InputPath` or `InputTransformer`");
      return [];
    }
    const isAllowed =
      rule.type === "AWS::Scheduler::Schedule" ||
      mayInvoke(stack, name, "events.amazonaws.com", attributes.Arn!);
    const input = textOf(target, "Input");
    const call = (event: unknown) => {
      if (isAllowed) functions.invoke(name, input === undefined ? event : JSON.parse(input)).catch(log);
      else
        log(
          `EventBridge may not invoke ${name} by ${rule.logicalId}: the template has no AWS::Lambda::Permission for it`,
        );
    };
    return [{ call }];
  });
}

/** The parts of an event that its source chooses. */
export interface EventContent {
  readonly source: string;
  readonly detailType: string;
  readonly resources: readonly string[];
  readonly detail: ValueMap;
}

/** Creates an event as EventBridge does. */
export function createEvent({ template }: Stack, { source, detailType, resources, detail }: EventContent) {
  const { region, accountId } = template.stack;
  return {
    version: "0",
    id: randomUUID(),
    "detail-type": detailType,
    source,
    account: accountId,
    time: new Date().toISOString().replace(/\.\d+/, ""),
    region,
    resources,
    detail,
  };
}
