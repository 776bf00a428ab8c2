import { AwsJsonApi, AwsServiceError, type AwsTarget, isTransient, Retry } from "../aws/index.ts";
import { elapsed } from "../internal/elapsed.ts";
import { StoreError, type TimeBudget } from "../store/index.ts";

/** A value in DynamoDB's JSON format. Binary values are not supported. */
export interface AttributeValue {
  /** A text. */
  readonly S?: string;
  /** A number, as text. */
  readonly N?: string;
  /** A boolean. */
  readonly BOOL?: boolean;
  /** Null. */
  readonly NULL?: boolean;
  /** A map. */
  readonly M?: { readonly [name: string]: AttributeValue };
  /** A list. */
  readonly L?: readonly AttributeValue[];
  /** A set of texts. */
  readonly SS?: readonly string[];
  /** A set of numbers. */
  readonly NS?: readonly string[];
}

/** An item in DynamoDB's JSON format. */
export type Item = { readonly [attribute: string]: AttributeValue };

/** Output of the operations in use. */
export interface Output {
  readonly Item?: Item;
  readonly Items?: readonly Item[];
  readonly LastEvaluatedKey?: Item;
  readonly Responses?: { readonly [table: string]: readonly Item[] };
  readonly UnprocessedKeys?: { readonly [table: string]: { readonly Keys: readonly Item[] } };
}

/** Cancellation reasons of a transaction after which it may succeed. */
const TRANSIENT_REASON = /^(?:ProvisionedThroughputExceeded|ThrottlingError|TransactionConflict)$/;

/** The part of a caller's budget that it keeps for reporting a failure, in ms. */
const RESPONSE_MS = 300;

/** Calls DynamoDB. Retries with backoff while throttled or unanswered. */
export class DynamoDB {
  readonly #api: AwsJsonApi;
  readonly #timeoutMs: number;

  constructor(target: AwsTarget, timeoutMs: number) {
    this.#api = new AwsJsonApi("dynamodb", target);
    this.#timeoutMs = timeoutMs;
  }

  /** Starts the deadline that all calls of one operation of a store share. */
  startRetry(budget?: TimeBudget): Retry {
    const remaining = (budget?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY) - RESPONSE_MS;
    return new Retry({
      deadline: elapsed() + Math.min(this.#timeoutMs, remaining),
      isTransient: isTransientHere,
    });
  }

  /**
   * Calls an operation. Resolves to the indexes of the conditions that failed, if any did.
   * @throws {StoreError} STORE_UNAVAILABLE, STORE_REFUSED
   */
  async call(
    retry: Retry,
    operation: string,
    input: object,
  ): Promise<Output | { readonly failed: readonly number[] }> {
    try {
      return (await retry.run((signal) => this.#api.call(operation, input, signal))) as Output;
    } catch (cause) {
      const failed = failedConditions(cause);
      if (failed.length > 0) return { failed };
      const name = cause instanceof Error ? cause.name : "unknown error";
      const code = isTransientHere(cause) ? "STORE_UNAVAILABLE" : "STORE_REFUSED";
      throw new StoreError(code, `${operation} failed: ${name}`, { cause });
    }
  }

  /** Calls an operation without conditions. */
  async read(
    retry: Retry,
    operation: "GetItem" | "Query" | "Scan" | "BatchGetItem",
    input: object,
  ): Promise<Output> {
    const output = await this.call(retry, operation, input);
    return "failed" in output ? {} : output;
  }
}

function reasonsOf(error: unknown): readonly string[] {
  const reasons = error instanceof AwsServiceError ? error.getField("CancellationReasons") : undefined;
  if (!Array.isArray(reasons)) return [];
  return reasons.map((reason: { readonly Code?: string }) => reason.Code ?? "None");
}

function failedConditions(error: unknown): readonly number[] {
  if ((error as Error).name === "ConditionalCheckFailedException") return [0];
  return reasonsOf(error).flatMap((code, index) => (code === "ConditionalCheckFailed" ? [index] : []));
}

function isTransientHere(error: unknown): boolean {
  const reasons = reasonsOf(error).filter((code) => code !== "None");
  return reasons.length > 0 ? reasons.every((code) => TRANSIENT_REASON.test(code)) : isTransient(error);
}
