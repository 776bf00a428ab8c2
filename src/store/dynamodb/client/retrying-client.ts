import type { ConsumedCapacity } from "@aws-sdk/client-dynamodb";
import { Retry } from "../../../aws/index.ts";
import { elapsed } from "../../../internal/elapsed.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { TimeBudget } from "../../contracts/time-budget.ts";
import { getConditionFailure, getTransactionConditionFailures, isTransient } from "./errors.ts";
import type { Operation, Operations, Transport } from "./transport.ts";

/** ms of the caller's budget that are left to it for telling of the failure. */
const ANSWER_MS = 300;

/** One call to DynamoDB, when it has ended. */
export interface CallMetrics {
  readonly operation: Operation;
  readonly tableName: string;
  /** ms, pauses and retries included. */
  readonly durationMs: number;
  readonly attempts: number;
  /** Capacity units, the table's and its indexes'; 0 for a call that failed. */
  readonly readUnits: number;
  readonly writeUnits: number;
  /** A condition that did not hold is an outcome, no failure. */
  readonly outcome: "ok" | "condition" | "failed";
}

export interface CallerOptions {
  readonly transport: Transport;
  readonly tableName: string;
  readonly timeoutMs: number;
  readonly measure: ((measure: CallMetrics) => void) | undefined;
}

/** Calls DynamoDB, again and again while it is out of breath, but not for longer than the time there is. */
export class RetryingClient {
  readonly tableName: string;
  readonly #transport: Transport;
  readonly #timeoutMs: number;
  readonly #measure: ((measure: CallMetrics) => void) | undefined;

  constructor(options: CallerOptions) {
    this.tableName = options.tableName;
    this.#transport = options.transport;
    this.#timeoutMs = options.timeoutMs;
    this.#measure = options.measure;
  }

  /** The time that one call of the store has, for all its calls of DynamoDB together. */
  startRetry(budget?: TimeBudget): Retry {
    const left = (budget?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY) - ANSWER_MS;
    return new Retry({ deadline: elapsed() + Math.min(this.#timeoutMs, left), isTransient });
  }

  /**
   * Rejects with DynamoDB's own error when a condition did not hold.
   * @throws {StoreError} STORE_UNAVAILABLE, STORE_REFUSED
   */
  async call<Name extends Operation>(
    attempts: Retry,
    operation: Name,
    input: Operations[Name]["input"],
  ): Promise<Operations[Name]["output"]> {
    const started = performance.now();
    const before = attempts.attempts;
    const measured =
      this.#measure === undefined ? input : { ...input, ReturnConsumedCapacity: "TOTAL" as const };
    let output: Operations[Name]["output"] | undefined;
    let outcome: CallMetrics["outcome"] = "failed";
    try {
      output = await attempts.run((signal) => this.#transport(operation, measured, signal));
      outcome = "ok";
      return output;
    } catch (error) {
      if (getConditionFailure(error) !== undefined || getTransactionConditionFailures(error) !== undefined) {
        outcome = "condition";
        throw error;
      }
      throw this.#storeError(operation, error);
    } finally {
      this.#measure?.({
        operation,
        tableName: this.tableName,
        durationMs: performance.now() - started,
        attempts: attempts.attempts - before,
        ...unitsOf(operation, output),
        outcome,
      });
    }
  }

  #storeError(operation: Operation, cause: unknown): StoreError {
    const name = cause instanceof Error ? cause.name : "an error";
    const code = isTransient(cause) ? "STORE_UNAVAILABLE" : "STORE_REFUSED";
    return new StoreError(code, `${operation} on ${this.tableName}: ${name}`, { cause });
  }
}

const READING = new Set<Operation>(["GetItem", "BatchGetItem", "Query", "Scan"]);

function unitsOf(
  operation: Operation,
  output: object | undefined,
): { readUnits: number; writeUnits: number } {
  const consumed = (output as { ConsumedCapacity?: ConsumedCapacity | ConsumedCapacity[] })?.ConsumedCapacity;
  const tables = consumed === undefined ? [] : Array.isArray(consumed) ? consumed : [consumed];
  const units = tables.reduce((sum, table) => sum + (table.CapacityUnits ?? 0), 0);
  return READING.has(operation) ? { readUnits: units, writeUnits: 0 } : { readUnits: 0, writeUnits: units };
}
