import type { CallMeasure } from "./caller.ts";

const UNITS = {
  Latency: "Milliseconds",
  Attempts: "Count",
  ReadUnits: "Count",
  WriteUnits: "Count",
  Failures: "Count",
} as const;

/**
 * Writes a call as a line of CloudWatch's embedded metric format, by table and operation.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function logMetrics(measure: CallMeasure, write: (line: string) => void = console.log): void {
  const values: { [name in keyof typeof UNITS]: number } = {
    Latency: measure.durationMs,
    Attempts: measure.attempts,
    ReadUnits: measure.readUnits,
    WriteUnits: measure.writeUnits,
    Failures: measure.outcome === "failed" ? 1 : 0,
  };
  const directive = {
    Namespace: "LiftWs/Store",
    Dimensions: [["TableName", "Operation"]],
    Metrics: Object.entries(UNITS).map(([Name, Unit]) => ({ Name, Unit })),
  };
  const dimensions = { TableName: measure.tableName, Operation: measure.operation };
  const _aws = { Timestamp: Date.now(), CloudWatchMetrics: [directive] };
  write(JSON.stringify({ _aws, ...dimensions, ...values }));
}
