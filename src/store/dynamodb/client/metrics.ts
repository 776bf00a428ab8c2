import { emfLine, writeEmf } from "../../../internal/emf.ts";
import type { Operation } from "./transport.ts";

/** Metrics of one call to DynamoDB, when it has ended. */
export interface CallMetrics {
  /** The DynamoDB operation. */
  readonly operation: Operation;
  /** The table. */
  readonly tableName: string;
  /** ms, pauses and retries included. */
  readonly durationMs: number;
  /** The number of attempts, from 1. */
  readonly attempts: number;
  /** Read capacity units of the table and its indexes; 0 unless the outcome is `ok`. */
  readonly readUnits: number;
  /** Write capacity units of the table and its indexes; 0 unless the outcome is `ok`. */
  readonly writeUnits: number;
  /** `condition`: a condition did not hold, which is an expected outcome. */
  readonly outcome: "ok" | "condition" | "failed";
}

const METRIC_UNITS = {
  Latency: "Milliseconds",
  Attempts: "Count",
  ReadUnits: "Count",
  WriteUnits: "Count",
  Failures: "Count",
} as const;

/** Writes a call's metrics for CloudWatch, by table and operation. */
export function logMetrics(metrics: CallMetrics): void {
  const values: { [name in keyof typeof METRIC_UNITS]: number } = {
    Latency: metrics.durationMs,
    Attempts: metrics.attempts,
    ReadUnits: metrics.readUnits,
    WriteUnits: metrics.writeUnits,
    Failures: metrics.outcome === "failed" ? 1 : 0,
  };
  const directive = {
    namespace: "LiftWs/Store",
    dimensions: [["TableName", "Operation"]],
    units: METRIC_UNITS,
  };
  const dimensions = { TableName: metrics.tableName, Operation: metrics.operation };
  writeEmf(emfLine(Date.now(), [directive], { ...dimensions, ...values }));
}
