import type { TransactWriteItem } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import { getTransactionConditionFailures, type Item } from "./errors.ts";
import type { RetryingClient } from "./retrying-client.ts";

/**
 * All writes or none: then what stood in each one's way. Sent again after its answer was lost, it fails on what it has
 * written itself, unless it has a token: by that DynamoDB knows it for 10 minutes, and says again that it was done.
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
