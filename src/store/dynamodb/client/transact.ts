import type { TransactWriteItem } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import { getTransactionConditionFailures, type Item } from "./errors.ts";
import type { RetryingClient } from "./retrying-client.ts";

/**
 * Makes all writes or none. Resolves to `undefined`, or to the items that made each write's condition fail.
 * @param token makes retries idempotent for 10 minutes. Without it, a retry after a lost response fails on its own
 * writes.
 */
export async function transact(
  client: RetryingClient,
  retry: Retry,
  writes: TransactWriteItem[],
  token?: string,
): Promise<(Item | undefined)[] | undefined> {
  try {
    await client.call(retry, "TransactWriteItems", {
      TransactItems: writes,
      ...(token === undefined ? {} : { ClientRequestToken: token }),
    });
    return undefined;
  } catch (error) {
    const failures = getTransactionConditionFailures(error);
    if (failures === undefined) throw error;
    return failures;
  }
}
