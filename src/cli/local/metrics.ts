import type { EventReport } from "../../gateway/index.ts";
import { isRecord } from "../../internal/options.ts";
import type { InvocationOutcome, TableStreamEvent } from "../../lambda-emulator/index.ts";
import type { Metric } from "./alarms.ts";

/** Returns what Lambda reports of an invocation. https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html */
export function invocationMetrics(
  FunctionName: string,
  { outcome, durationMs }: InvocationOutcome,
): Metric[] {
  const metric = (name: string, value: number): Metric => ({
    namespace: "AWS/Lambda",
    name,
    dimensions: { FunctionName },
    value,
  });
  // A refused invocation does not count as one.
  if (outcome === "throttled") return [metric("Throttles", 1)];
  return [
    metric("Invocations", 1),
    metric("Errors", outcome === "failed" ? 1 : 0),
    metric("Duration", durationMs),
  ];
}

/** Returns what Lambda reports of a batch of a table's stream: the age of its last record. */
export function batchMetrics(FunctionName: string, { Records }: TableStreamEvent, now: number): Metric[] {
  const createdAt = Records.at(-1)?.dynamodb.ApproximateCreationDateTime;
  if (createdAt === undefined) return [];
  // The service dates records in whole seconds.
  const value = Math.max(0, now - 1_000 * createdAt);
  return [{ namespace: "AWS/Lambda", name: "IteratorAge", dimensions: { FunctionName }, value }];
}

/** Returns what SQS reports of a queue that nobody reads. */
export function queueMetrics(QueueName: string, value: number): Metric[] {
  return [
    { namespace: "AWS/SQS", name: "ApproximateNumberOfMessagesVisible", dimensions: { QueueName }, value },
  ];
}

/**
 * Returns what API Gateway reports of an event, for the stage.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html
 */
export function eventMetrics(
  ApiId: string,
  Stage: string,
  { routeKey, status, durationMs }: EventReport,
): Metric[] {
  const metric = (name: string, value: number): Metric => ({
    namespace: "AWS/ApiGateway",
    name,
    dimensions: { ApiId, Stage },
    value,
  });
  const count =
    routeKey === "$connect" ? "ConnectCount" : routeKey === "$disconnect" ? undefined : "MessageCount";
  return [
    ...(count === undefined ? [] : [metric(count, 1)]),
    metric("ClientError", status >= 400 && status < 500 ? 1 : 0),
    metric("IntegrationError", status >= 400 && durationMs > 0 ? 1 : 0),
    metric("ExecutionError", status >= 500 ? 1 : 0),
    metric("IntegrationLatency", durationMs),
  ];
}

/**
 * Returns the metrics of a line in CloudWatch's embedded metric format, each once for each set of dimensions; none for any other
 * line.
 */
export function embeddedMetrics(line: string): Metric[] {
  const fields = line.includes('"_aws"') ? parse(line) : undefined;
  if (!isRecord(fields) || !isRecord(fields._aws)) return [];
  return listOf(fields._aws.CloudWatchMetrics).flatMap((directive) => {
    const { Namespace, Dimensions, Metrics } = isRecord(directive) ? directive : {};
    const sets = listOf(Dimensions).map((names) =>
      Object.fromEntries(listOf(names).map((name) => [String(name), String(fields[String(name)])])),
    );
    return listOf(Metrics).flatMap((metric) => {
      const name = isRecord(metric) ? String(metric.Name) : "";
      const value = Number(fields[name]);
      return sets.map((dimensions): Metric => ({ namespace: String(Namespace), name, dimensions, value }));
    });
  });
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Parses the line from its first brace: Lambda's text format puts the time and the request in front. */
function parse(line: string): unknown {
  try {
    return JSON.parse(line.slice(line.indexOf("{")));
  } catch {
    return undefined;
  }
}
