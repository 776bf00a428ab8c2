import type { AttributeValue, CancellationReason } from "@aws-sdk/client-dynamodb";
import { isTransient as isTransientAnywhere } from "../../../aws/index.ts";

/** An item as DynamoDB hands it out. */
export type Item = Record<string, AttributeValue>;

const TRANSIENT_EXCEPTIONS = new Set([
  "ProvisionedThroughputExceededException",
  "ReplicatedWriteConflictException",
  "TransactionConflictException",
  "TransactionInProgressException",
]);

/** Why DynamoDB cancels a transaction that may well succeed the next time. */
const TRANSIENT_REASONS = new Set([
  "ProvisionedThroughputExceeded",
  "ThrottlingError",
  "TransactionConflict",
]);

/** What DynamoDB's errors carry beside their name. */
interface Failure {
  readonly name?: string;
  readonly CancellationReasons?: readonly CancellationReason[];
  readonly Item?: Item;
}

/**
 * Whether the same call may succeed later: throttled, timed out, broken off, or a fault of the service's own. A
 * transaction is transient only when nothing but transience has cancelled it.
 */
export function isTransient(error: unknown): boolean {
  const { name = "", CancellationReasons } = error as Failure;
  if (CancellationReasons !== undefined) {
    const reasons = CancellationReasons.map((reason) => reason.Code ?? "None").filter((it) => it !== "None");
    return reasons.length > 0 && reasons.every((reason) => TRANSIENT_REASONS.has(reason));
  }
  return TRANSIENT_EXCEPTIONS.has(name) || isTransientAnywhere(error);
}

/** The item that stood in a condition's way: `{}` when there was none; `undefined` when it is another error. */
export function getConditionFailure(error: unknown): Item | undefined {
  const { name, Item } = error as Failure;
  return name === "ConditionalCheckFailedException" ? (Item ?? {}) : undefined;
}

/**
 * The same for each write of a transaction, in order; `undefined` where a write's own condition held, and for
 * the whole when it is another error.
 */
export function getTransactionConditionFailures(error: unknown): (Item | undefined)[] | undefined {
  const reasons = (error as Failure).CancellationReasons;
  if (!reasons?.some((reason) => reason.Code === "ConditionalCheckFailed")) return undefined;
  return reasons.map((reason) =>
    reason.Code === "ConditionalCheckFailed" ? (reason.Item ?? {}) : undefined,
  );
}
