import type { AttributeValue, CancellationReason } from "@aws-sdk/client-dynamodb";
import { isTransient as isTransientAnywhere } from "../../../aws/index.ts";

/** An item in DynamoDB's format. */
export type Item = Record<string, AttributeValue>;

/** Cancellation reasons of a transaction that may succeed when retried. */
const TRANSIENT_REASONS = new Set([
  "ProvisionedThroughputExceeded",
  "ThrottlingError",
  "TransactionConflict",
]);

/** Fields of DynamoDB's errors. */
interface Failure {
  readonly name?: string;
  readonly CancellationReasons?: readonly CancellationReason[];
  readonly Item?: Item;
}

/**
 * Whether a retry of the call may succeed: after throttling, a timeout, a lost connection, or a service error. A
 * canceled transaction is transient only if all its reasons are.
 */
export function isTransient(error: unknown): boolean {
  const { CancellationReasons } = error as Failure;
  if (CancellationReasons !== undefined) {
    const reasons = CancellationReasons.map((reason) => reason.Code ?? "None").filter((it) => it !== "None");
    return reasons.length > 0 && reasons.every((reason) => TRANSIENT_REASONS.has(reason));
  }
  return isTransientAnywhere(error);
}

/**
 * Returns the item that made a condition fail, or `{}` if there was none. Returns `undefined` for any other error.
 */
export function getConditionFailure(error: unknown): Item | undefined {
  const { name, Item } = error as Failure;
  return name === "ConditionalCheckFailedException" ? (Item ?? {}) : undefined;
}

/**
 * Returns the items that made conditions of a transaction fail, one per write in order. An element is `undefined` if
 * the write's condition held. Returns `undefined` for any other error.
 */
export function getTransactionConditionFailures(error: unknown): (Item | undefined)[] | undefined {
  const reasons = (error as Failure).CancellationReasons;
  if (!reasons?.some((reason) => reason.Code === "ConditionalCheckFailed")) return undefined;
  return reasons.map((reason) =>
    reason.Code === "ConditionalCheckFailed" ? (reason.Item ?? {}) : undefined,
  );
}
