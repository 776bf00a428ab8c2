import { emfLine, writeEmf } from "../../../internal/emf.ts";
import type { CallMetrics } from "./retrying-client.ts";

const UNITS = {
  Latency: "Milliseconds",
  Attempts: "Count",
  ReadUnits: "Count",
  WriteUnits: "Count",
  Failures: "Count",
} as const;

/** Writes a call's metrics for CloudWatch, by table and operation. */
export function logMetrics(measure: CallMetrics): void {
  const values: { [name in keyof typeof UNITS]: number } = {
    Latency: measure.durationMs,
    Attempts: measure.attempts,
    ReadUnits: measure.readUnits,
    WriteUnits: measure.writeUnits,
    Failures: measure.outcome === "failed" ? 1 : 0,
  };
  const directive = { namespace: "LiftWs/Store", dimensions: [["TableName", "Operation"]], units: UNITS };
  const dimensions = { TableName: measure.tableName, Operation: measure.operation };
  writeEmf(emfLine(Date.now(), [directive], { ...dimensions, ...values }));
}
