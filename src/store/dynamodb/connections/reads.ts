import type { QueryInput } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { CONNECTION_ATTRIBUTES, type IndexDefinition } from "../tables.ts";
import { connectionKey } from "./rows.ts";

/** Maximum keys per `BatchGetItem`, a limit of DynamoDB. */
const BATCH_SIZE = 100;
/** Concurrent batches. */
const BATCHES = 4;

/** Reads items by id. The map has only those that exist. */
export async function batchGetItems(
  client: RetryingClient,
  retry: Retry,
  ids: readonly string[],
  { consistent }: { readonly consistent: boolean },
): Promise<Map<string, Item>> {
  const found = new Map<string, Item>();
  const fetchBatch = async (batch: readonly string[]) => {
    for (let keys = batch.map(connectionKey); keys.length > 0; ) {
      const request = { [client.tableName]: { Keys: keys, ConsistentRead: consistent } };
      const output = await client.call(retry, "BatchGetItem", { RequestItems: request });
      for (const item of output.Responses?.[client.tableName] ?? [])
        found.set(item[CONNECTION_ATTRIBUTES.id]?.S ?? "", item);
      keys = output.UnprocessedKeys?.[client.tableName]?.Keys ?? [];
      if (keys.length > 0 && !(await retry.pause())) throw createTimeoutError(client);
    }
  };
  const batches = Array.from({ length: Math.ceil(ids.length / BATCH_SIZE) }, (_, batch) =>
    ids.slice(batch * BATCH_SIZE, (batch + 1) * BATCH_SIZE),
  );
  await Promise.all(batches.map(fetchBatch));
  return found;
}

/**
 * Yields all items of an owner by an index. The index yields keys, by which each row is read as it is now. Each page
 * has its own deadline, because the caller decides how long it processes a page.
 */
export async function* listItemsByOwner(
  client: RetryingClient,
  index: IndexDefinition,
  value: string,
): AsyncGenerator<Item> {
  let start: QueryInput["ExclusiveStartKey"];
  do {
    const page = await client.call(client.startRetry(), "Query", {
      TableName: client.tableName,
      IndexName: index.name,
      KeyConditionExpression: "#owner = :owner",
      ProjectionExpression: "#id",
      ExpressionAttributeNames: { "#owner": index.partitionKey, "#id": CONNECTION_ATTRIBUTES.id },
      ExpressionAttributeValues: { ":owner": { S: value } },
      ExclusiveStartKey: start,
    });
    const ids = (page.Items ?? []).map((item) => item[CONNECTION_ATTRIBUTES.id]?.S ?? "");
    for (let from = 0; from < ids.length; from += BATCH_SIZE * BATCHES) {
      const batch = ids.slice(from, from + BATCH_SIZE * BATCHES);
      const items = await batchGetItems(client, client.startRetry(), batch, { consistent: false });
      for (const id of batch) {
        const item = items.get(id);
        if (item !== undefined) yield item;
      }
    }
    start = page.LastEvaluatedKey;
  } while (start !== undefined);
}

function createTimeoutError(client: RetryingClient): StoreError {
  return new StoreError(
    "STORE_UNAVAILABLE",
    `BatchGetItem on ${client.tableName} timed out: DynamoDB kept returning unprocessed keys`,
  );
}
