import type { ConsumedCapacity } from "@aws-sdk/client-dynamodb";
import { Retry } from "../../../aws/index.ts";
import { elapsed } from "../../../internal/elapsed.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { TimeBudget } from "../../contracts/time-budget.ts";
import type { TableOptions } from "../options.ts";
import { getConditionFailure, getTransactionConditionFailures, isTransient } from "./errors.ts";
import { type CallMetrics, logMetrics } from "./metrics.ts";
import type { Operation, Operations, Transport } from "./transport.ts";

/** The part of a caller's budget that it keeps for reporting a failure, in ms. */
const RESPONSE_MS = 300;
const DEFAULT_TIMEOUT_MS = 10_000;

export interface RetryingClientOptions {
  readonly transport: Transport;
  readonly tableName: string;
  readonly timeoutMs: number;
  readonly onCall: ((metrics: CallMetrics) => void) | undefined;
}

/** Calls DynamoDB. Retries with backoff while throttled or unanswered, until the deadline. */
export class RetryingClient {
  readonly tableName: string;
  readonly #transport: Transport;
  readonly #timeoutMs: number;
  readonly #onCall: ((metrics: CallMetrics) => void) | undefined;

  constructor(options: RetryingClientOptions) {
    this.tableName = options.tableName;
    this.#transport = options.transport;
    this.#timeoutMs = options.timeoutMs;
    this.#onCall = options.onCall;
  }

  /** Starts the deadline that all DynamoDB calls of one store call share. */
  startRetry(budget?: TimeBudget): Retry {
    const remaining = (budget?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY) - RESPONSE_MS;
    return new Retry({ deadline: elapsed() + Math.min(this.#timeoutMs, remaining), isTransient });
  }

  /**
   * Calls an operation. Rejects with DynamoDB's own error if a condition failed.
   * @throws {StoreError} STORE_UNAVAILABLE, STORE_REFUSED
   */
  async call<Name extends Operation>(
    retry: Retry,
    operation: Name,
    input: Operations[Name]["input"],
  ): Promise<Operations[Name]["output"]> {
    const startedAt = performance.now();
    const attemptsBefore = retry.attempts;
    const measuredInput =
      this.#onCall === undefined ? input : { ...input, ReturnConsumedCapacity: "TOTAL" as const };
    let output: Operations[Name]["output"] | undefined;
    let outcome: CallMetrics["outcome"] = "failed";
    try {
      output = await retry.run((signal) => this.#transport(operation, measuredInput, signal));
      outcome = "ok";
      return output;
    } catch (error) {
      if (getConditionFailure(error) !== undefined || getTransactionConditionFailures(error) !== undefined) {
        outcome = "condition";
        throw error;
      }
      throw this.#toStoreError(operation, error);
    } finally {
      this.#onCall?.({
        operation,
        tableName: this.tableName,
        durationMs: performance.now() - startedAt,
        attempts: retry.attempts - attemptsBefore,
        ...readUnits(operation, output),
        outcome,
      });
    }
  }

  #toStoreError(operation: Operation, cause: unknown): StoreError {
    const name = cause instanceof Error ? cause.name : "unknown error";
    const code = isTransient(cause) ? "STORE_UNAVAILABLE" : "STORE_REFUSED";
    return new StoreError(code, `${operation} on ${this.tableName} failed: ${name}`, { cause });
  }
}

/** Creates the client of a store's table. */
export function createRetryingClient(transport: Transport, options: TableOptions): RetryingClient {
  const { tableName, timeoutMs = DEFAULT_TIMEOUT_MS, enableMetrics = false } = options;
  const onCall = typeof enableMetrics === "function" ? enableMetrics : enableMetrics ? logMetrics : undefined;
  return new RetryingClient({ transport, tableName, timeoutMs, onCall });
}

const READ_OPERATIONS = new Set<Operation>(["GetItem", "BatchGetItem", "Query", "Scan"]);

function readUnits(
  operation: Operation,
  output: object | undefined,
): { readUnits: number; writeUnits: number } {
  const consumed = (output as { ConsumedCapacity?: ConsumedCapacity | ConsumedCapacity[] })?.ConsumedCapacity;
  const tables = consumed === undefined ? [] : Array.isArray(consumed) ? consumed : [consumed];
  const units = tables.reduce((sum, table) => sum + (table.CapacityUnits ?? 0), 0);
  return READ_OPERATIONS.has(operation)
    ? { readUnits: units, writeUnits: 0 }
    : { readUnits: 0, writeUnits: units };
}
