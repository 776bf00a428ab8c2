import type { QueryInput } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { CONNECTION_ATTRIBUTES, type IndexDefinition } from "../tables.ts";
import { keyOf } from "./rows.ts";

/** Keys of one `BatchGetItem`: DynamoDB takes no more. */
const BATCH_SIZE = 100;
/** Batches under way at a time. */
const BATCHES = 4;

/** Items by their ids, those that there are. */
export async function getAll(
  client: RetryingClient,
  retry: Retry,
  ids: readonly string[],
  { consistent }: { readonly consistent: boolean },
): Promise<Map<string, Item>> {
  const found = new Map<string, Item>();
  const fetchBatch = async (batch: readonly string[]) => {
    for (let keys = batch.map(keyOf); keys.length > 0; ) {
      const request = { [client.tableName]: { Keys: keys, ConsistentRead: consistent } };
      const output = await client.call(retry, "BatchGetItem", { RequestItems: request });
      for (const item of output.Responses?.[client.tableName] ?? [])
        found.set(item[CONNECTION_ATTRIBUTES.id]?.S ?? "", item);
      keys = output.UnprocessedKeys?.[client.tableName]?.Keys ?? [];
      if (keys.length > 0 && !(await retry.pause())) throw throttled(client);
    }
  };
  const batches = Array.from({ length: Math.ceil(ids.length / BATCH_SIZE) }, (_, batch) =>
    ids.slice(batch * BATCH_SIZE, (batch + 1) * BATCH_SIZE),
  );
  await Promise.all(batches.map(fetchBatch));
  return found;
}

/**
 * Items by an index, to its last page. Its keys lead to the rows themselves, so what is listed is as they are
 * now. Each page has time of its own: nobody knows how long its rows are looked at.
 */
export async function* itemsBy(
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
      const some = ids.slice(from, from + BATCH_SIZE * BATCHES);
      const items = await getAll(client, client.startRetry(), some, { consistent: false });
      for (const id of some) {
        const item = items.get(id);
        if (item !== undefined) yield item;
      }
    }
    start = page.LastEvaluatedKey;
  } while (start !== undefined);
}

function throttled(client: RetryingClient): StoreError {
  return new StoreError("STORE_UNAVAILABLE", `BatchGetItem on ${client.tableName} left keys unread`);
}
