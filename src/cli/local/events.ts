import { randomUUID } from "node:crypto";
import { isRecord } from "../../internal/options.ts";
import {
  createFilter,
  type FilterPattern,
  isMap,
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
import { mapsOf, readInteger, show, textOf } from "./properties.ts";
import type { Callers } from "./roles.ts";
import type { Stack } from "./stack.ts";
import { type DynamoDBAccessKeys, tableOfStream } from "./tables.ts";

/** What an event source needs to read a stream: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html */
const STREAM_ACTIONS = ["DescribeStream", "GetRecords", "GetShardIterator"];

/** A table stream that a function receives. */
export interface EventSource {
  readonly resource: ResolvedResource;
  readonly tableName: string;
  readonly functionName: string;
  readonly settings: ReturnType<typeof readSource>;
}

/** What the streams of a stack are read with. */
export interface StreamOptions {
  readonly functions: StackFunctions;
  readonly access: DynamoDBAccessKeys;
  readonly terminal: Terminal;
  readonly onMetric: (metric: Metric) => void;
}

/** Returns the event sources that run here. @throws {TemplateError} */
export function readEventSources(stack: Stack, functions: StackFunctions, callers: Callers): EventSource[] {
  return stack.ofType("AWS::Lambda::EventSourceMapping").flatMap((resource) => {
    const { properties, logicalId } = resource;
    const arn = textOf(properties, "EventSourceArn") ?? "";
    const table = tableOfStream(stack, arn);
    const functionName = functionNameOf(textOf(properties, "FunctionName") ?? "");
    const found = functions.find(functionName);
    if (table === undefined || found === undefined || textOf(properties, "Enabled") === "false") {
      const off =
        found === undefined
          ? "an event source of a function that does not run"
          : "an event source that is off";
      stack.skip(logicalId, table === undefined ? `an event source ${arn}` : off);
      return [];
    }
    const settings = readSource(stack, resource);
    const { accessKeyId } = callers.of(functionName);
    const requests = STREAM_ACTIONS.map((action) => ({ action: `dynamodb:${action}`, resource: arn }));
    const decision = callers.decide(accessKeyId, ...requests);
    // The service refuses to create such a mapping.
    if (!decision.allowed) throw stack.error("POLICY_INVALID", decision.reason, resource);
    return [{ resource, tableName: table.ref, functionName, settings }];
  });
}

/** Passes the records of table streams to functions. @throws {CliError} FAILED */
export async function startTableStreams(
  sources: readonly EventSource[],
  { functions, access, terminal, onMetric }: StreamOptions,
): Promise<TableStreamPoller[]> {
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
  for (const { resource, tableName, functionName, settings } of sources) {
    pollers.push(
      await openStream({
        ...settings,
        ...access,
        tableName,
        handler(event: TableStreamEvent) {
          for (const metric of batchMetrics(functionName, event, Date.now())) onMetric(metric);
          return functions.invoke(functionName, event).catch((error: unknown) => {
            log(error);
            throw error;
          });
        },
        onFailure({ condition, records }) {
          log(`Discarded ${records.length} records: ${condition}`);
          sendToQueue(resource);
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

/** Lambda's limits: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html */
const BATCH_SIZE = [1, 10_000] as const;
const WINDOW_SECONDS = [0, 300] as const;
/** -1 is no limit. */
const RETRIES = [-1, 10_000] as const;
const AGE_SECONDS = [-1, 604_800] as const;
const LEAST_AGE_SECONDS = 60;
const PARALLEL_BATCHES = [1, 10] as const;
const TUMBLING_SECONDS = [0, 900] as const;
/** Table streams are not read from a time. */
const POSITIONS = ["TRIM_HORIZON", "LATEST"] as const;

function readSource(stack: Stack, source: ResolvedResource) {
  const { properties } = source;
  const fail = (message: string) => stack.error("TEMPLATE_INVALID", message, source);
  const startingPosition = POSITIONS.find((each) => each === properties.StartingPosition);
  if (startingPosition === undefined) {
    throw fail(
      `\`StartingPosition\` must be ${POSITIONS.join(" or ")}; got ${show(properties.StartingPosition)}`,
    );
  }
  const window = readInteger(stack, source, "MaximumBatchingWindowInSeconds", WINDOW_SECONDS);
  const retries = readInteger(stack, source, "MaximumRetryAttempts", RETRIES);
  const age = readInteger(stack, source, "MaximumRecordAgeInSeconds", AGE_SECONDS);
  if (age !== undefined && age !== -1 && age < LEAST_AGE_SECONDS) {
    throw fail(`\`MaximumRecordAgeInSeconds\` must be -1, or ${LEAST_AGE_SECONDS} or more; got ${age}`);
  }
  // Batches of a shard follow each other here: the order is that of the service, and only the pace differs.
  readInteger(stack, source, "ParallelizationFactor", PARALLEL_BATCHES);
  if ((readInteger(stack, source, "TumblingWindowInSeconds", TUMBLING_SECONDS) ?? 0) > 0) {
    stack.skip(source.logicalId, "the tumbling window of an event source");
  }
  const responses = [properties.FunctionResponseTypes ?? []].flat() as Value[];
  const filter = readFilter(stack, source);
  return {
    startingPosition,
    batchSize: readInteger(stack, source, "BatchSize", BATCH_SIZE) ?? 100,
    ...(window !== undefined && { batchWindowMs: 1_000 * window }),
    ...(age !== undefined && age >= 0 && { maxRecordAgeMs: 1_000 * age }),
    ...(retries !== undefined && retries >= 0 && { maxRetries: retries }),
    bisectOnError: textOf(properties, "BisectBatchOnFunctionError") === "true",
    reportBatchItemFailures: responses.includes("ReportBatchItemFailures"),
    ...(filter && { filter }),
  };
}

/** Returns the filter of an event source. Without it the function would receive all records. */
function readFilter(stack: Stack, source: ResolvedResource): FilterPattern | undefined {
  const { FilterCriteria: criteria = {} } = source.properties;
  const filters = isMap(criteria) ? (criteria.Filters ?? []) : undefined;
  if (!Array.isArray(filters) || !filters.every(isMap)) {
    throw stack.error("TEMPLATE_INVALID", "`FilterCriteria` must have a list of `Filters`", source);
  }
  const [filter, ...others] = filters as ValueMap[];
  if (others.length > 0)
    throw stack.error("TEMPLATE_UNSUPPORTED", "One filter of an event source is run here", source);
  if (filter === undefined) return undefined;
  const text = textOf(filter, "Pattern");
  const pattern = text === undefined ? undefined : parseJson(text);
  if (!isRecord(pattern)) {
    const message = `The \`Pattern\` of a filter must be a JSON object; got ${show(filter.Pattern)}`;
    throw stack.error("TEMPLATE_INVALID", message, source);
  }
  try {
    createFilter(pattern as FilterPattern);
  } catch (error) {
    if (!(error instanceof LambdaEmulatorError)) throw error;
    throw stack.error("TEMPLATE_UNSUPPORTED", `The filter does not run here: ${error.message}`, source);
  }
  return pattern as FilterPattern;
}

/** @returns `undefined` for a text that is not JSON */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
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
    if (expression === undefined) {
      const isRule = rule.type === "AWS::Events::Rule";
      if (isRule && properties.EventPattern !== undefined) return [];
      const message = isRule
        ? "A rule needs an `EventPattern` or a `ScheduleExpression`"
        : "A schedule needs a `ScheduleExpression`";
      throw stack.error("TEMPLATE_INVALID", message, rule);
    }
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
    if (input !== undefined && parseJson(input) === undefined) {
      throw stack.error(
        "TEMPLATE_INVALID",
        `The \`Input\` of a target must be JSON; got ${show(input)}`,
        rule,
      );
    }
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
