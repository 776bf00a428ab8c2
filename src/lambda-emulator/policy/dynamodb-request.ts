import { isRecord } from "../../internal/options.ts";
import { attributesOf, type Body, keyText, queriedKey } from "./dynamodb-expressions.ts";
import type { AccessRequest } from "./policy.ts";

/** The permissions that a request to DynamoDB needs. `denied` is a request that is refused whatever the policies say. */
export type DynamoDBAccess =
  | { readonly kind: "checks"; readonly checks: readonly AccessRequest[] }
  | { readonly kind: "denied"; readonly reason: string };

/** The tables that requests may name. */
export interface DynamoDBTables {
  readonly region: string;
  readonly accountId: string;
  /** Returns the name of the partition key of a table or of its index; `undefined` if there is none such. */
  partitionKey(tableName: string, indexName?: string): string | undefined;
  /** Returns the ARN of a table's stream in the stack, which is not that of DynamoDB Local. */
  streamArn(tableName: string): string | undefined;
}

const PARTIQL = ["BatchExecuteStatement", "ExecuteStatement", "ExecuteTransaction"];
/** Operations on no table. */
const ON_ALL = [
  "DescribeEndpoints",
  "DescribeLimits",
  "ListBackups",
  "ListExports",
  "ListGlobalTables",
  "ListImports",
  "ListTables",
];
const ON_ARN = ["ListTagsOfResource", "TagResource", "UntagResource"];
/** Operations on one table, which the body names in `TableName`. */
const ON_TABLE = [
  "CreateTable",
  "DeleteItem",
  "DeleteTable",
  "DescribeContinuousBackups",
  "DescribeTable",
  "DescribeTimeToLive",
  "GetItem",
  "PutItem",
  "Query",
  "Scan",
  "UpdateContinuousBackups",
  "UpdateItem",
  "UpdateTable",
  "UpdateTimeToLive",
];
const TRANSACTION_ACTIONS = {
  ConditionCheck: "ConditionCheckItem",
  Delete: "DeleteItem",
  Get: "GetItem",
  Put: "PutItem",
  Update: "UpdateItem",
};

/** A request that no policy can allow. */
class Denied extends Error {}

/**
 * Returns the checks that DynamoDB makes before it runs a request. All of them must be allowed.
 * @param target the header X-Amz-Target, such as `DynamoDB_20120810.PutItem`
 * @param body the JSON body
 */
export function readDynamoDBAccess(target: string, body: string, tables: DynamoDBTables): DynamoDBAccess {
  try {
    return { kind: "checks", checks: checksOf(target, parseBody(body), tables) };
  } catch (error) {
    if (!(error instanceof Denied)) throw error;
    return { kind: "denied", reason: error.message };
  }
}

function parseBody(text: string): Body {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {}
  if (isRecord(body)) return body;
  throw new Denied("The request's body is not a JSON object");
}

function checksOf(target: string, body: Body, tables: DynamoDBTables): readonly AccessRequest[] {
  const [, service, operation = ""] = /^(DynamoDB|DynamoDBStreams)_\d+\.(\w+)$/.exec(target) ?? [];
  if (service === "DynamoDBStreams") return [checkStream(operation, body, tables)];
  if (PARTIQL.includes(operation))
    throw new Denied(`PartiQL (${operation}) is not supported on this machine`);
  if (operation === "BatchGetItem" || operation === "BatchWriteItem")
    return checkBatch(operation, body, tables);
  if (operation === "TransactGetItems" || operation === "TransactWriteItems") {
    return checkTransaction(operation, body, tables);
  }
  const action = `dynamodb:${operation}`;
  if (ON_ALL.includes(operation)) return [{ action, resource: "*", context: contextOf(body) }];
  if (ON_ARN.includes(operation))
    return [{ action, resource: tableOf(body.ResourceArn, tables).arn, context: contextOf(body) }];
  if (ON_TABLE.includes(operation)) return [checkTable(operation, body, tables)];
  throw new Denied(`The operation ${target} is not supported on this machine`);
}

function checkTable(
  operation: string,
  body: Body,
  tables: DynamoDBTables,
  enclosing?: string,
): AccessRequest {
  const { name, arn } = tableOf(body.TableName, tables);
  const readsIndex = operation === "Query" || operation === "Scan";
  const indexName = readsIndex && typeof body.IndexName === "string" ? body.IndexName : undefined;
  const keys = leadingKeys(operation, body, () => tables.partitionKey(name, indexName));
  return {
    action: `dynamodb:${operation}`,
    resource: indexName === undefined ? arn : `${arn}/index/${indexName}`,
    context: {
      ...contextOf(body),
      ...(readsIndex && { "dynamodb:Select": selectOf(body, indexName) }),
      ...(enclosing !== undefined && { "dynamodb:EnclosingOperation": enclosing }),
      ...leadingKeysContext(keys),
    },
  };
}

/** @returns `undefined` if the key cannot be read, so that no condition on it can be evaluated */
function leadingKeys(
  operation: string,
  body: Body,
  partitionKey: () => string | undefined,
): readonly string[] | undefined {
  if (operation !== "Query" && !/Item$/.test(operation)) return [];
  const name = partitionKey();
  if (name === undefined) return undefined;
  const key =
    operation === "Query"
      ? queriedKey(body, name)
      : keyOf(body[operation === "PutItem" ? "Item" : "Key"], name);
  return key === undefined ? undefined : [key];
}

function leadingKeysContext(keys: readonly string[] | undefined): {
  readonly [key: string]: readonly string[];
} {
  return keys === undefined ? {} : { "dynamodb:LeadingKeys": keys };
}

function keyOf(attributes: unknown, partitionKey: string): string | undefined {
  if (!isRecord(attributes) || !Object.hasOwn(attributes, partitionKey)) return undefined;
  return keyText(attributes[partitionKey]);
}

/** An absent key has an empty list. */
function contextOf(body: Body) {
  const textOf = (name: string) => (typeof body[name] === "string" ? [body[name]] : []);
  return {
    "dynamodb:Attributes": attributesOf(body),
    "dynamodb:EnclosingOperation": [] as string | readonly string[],
    "dynamodb:ReturnConsumedCapacity": textOf("ReturnConsumedCapacity"),
    "dynamodb:ReturnValues": textOf("ReturnValues"),
    "dynamodb:Select": [] as string | readonly string[],
  };
}

function selectOf(body: Body, indexName: string | undefined): string {
  if (typeof body.Select === "string") return body.Select;
  if (body.ProjectionExpression !== undefined || body.AttributesToGet !== undefined)
    return "SPECIFIC_ATTRIBUTES";
  return indexName === undefined ? "ALL_ATTRIBUTES" : "ALL_PROJECTED_ATTRIBUTES";
}

/** One check for each table, with the keys of all its items. */
function checkBatch(operation: string, body: Body, tables: DynamoDBTables): readonly AccessRequest[] {
  const { RequestItems: items } = body;
  if (!isRecord(items) || Object.keys(items).length === 0)
    throw new Denied("The request has no `RequestItems`");
  return Object.entries(items).map(([table, requests]) => {
    const { name, arn } = tableOf(table, tables);
    const parts = operation === "BatchGetItem" ? readsOf(requests) : writesOf(requests);
    const partitionKey = tables.partitionKey(name);
    const keys = parts.map(({ Key, Item }) =>
      partitionKey === undefined ? undefined : keyOf(Key ?? Item, partitionKey),
    );
    const attributes = [...parts, ...(isRecord(requests) ? [requests] : [])].flatMap(attributesOf);
    const context = { ...contextOf(body), "dynamodb:Attributes": [...new Set(attributes)] };
    const known = keys.filter((key) => key !== undefined);
    const all = known.length === keys.length ? known : undefined;
    return {
      action: `dynamodb:${operation}`,
      resource: arn,
      context: { ...context, ...leadingKeysContext(all) },
    };
  });
}

function readsOf(requests: unknown): readonly Body[] {
  const keys = isRecord(requests) ? requests.Keys : undefined;
  if (!Array.isArray(keys)) throw new Denied("A table of `RequestItems` has no `Keys`");
  return keys.map((Key) => ({ Key }));
}

function writesOf(requests: unknown): readonly Body[] {
  if (!Array.isArray(requests)) throw new Denied("A table of `RequestItems` has no list of requests");
  return requests.map((request: unknown) => {
    const [write, ...more] = isRecord(request) ? Object.entries(request) : [];
    const [name, part] = write ?? [];
    if (more.length > 0 || !isRecord(part) || (name !== "PutRequest" && name !== "DeleteRequest")) {
      throw new Denied("A request must be `PutRequest` or `DeleteRequest`");
    }
    return name === "PutRequest" ? { Item: part.Item } : { Key: part.Key };
  });
}

/** One check for each part of each item. */
function checkTransaction(enclosing: string, body: Body, tables: DynamoDBTables): readonly AccessRequest[] {
  const { TransactItems: items } = body;
  if (!Array.isArray(items) || items.length === 0) throw new Denied("The request has no `TransactItems`");
  return items.flatMap((item: unknown) => {
    const parts = isRecord(item) ? Object.entries(item) : [];
    if (parts.length === 0) throw new Denied("An item of `TransactItems` has no operation");
    return parts.map(([name, part]) => {
      const action = Object.entries(TRANSACTION_ACTIONS).find(([key]) => key === name)?.[1];
      if (action === undefined || !isRecord(part))
        throw new Denied(`Unknown operation \`${name}\` in \`TransactItems\``);
      return checkTable(action, part, tables, enclosing);
    });
  });
}

function checkStream(operation: string, body: Body, tables: DynamoDBTables): AccessRequest {
  const action = `dynamodb:${operation}`;
  if (operation === "ListStreams") return { action, resource: "*", context: contextOf(body) };
  if (!["DescribeStream", "GetRecords", "GetShardIterator"].includes(operation)) {
    throw new Denied(`The operation ${operation} of DynamoDB Streams is not supported on this machine`);
  }
  // A shard iterator holds the ARN of its stream.
  const text = operation === "GetRecords" ? body.ShardIterator : body.StreamArn;
  const name = typeof text === "string" ? /arn:[^|]*:table\/([\w.-]+)\/stream\//.exec(text)?.[1] : undefined;
  const resource = name === undefined ? undefined : tables.streamArn(name);
  if (resource === undefined) throw new Denied(`The request ${operation} names no stream of the stack`);
  return { action, resource, context: contextOf(body) };
}

/** Returns a table's name and ARN. @param table either of them */
function tableOf(
  table: unknown,
  { region, accountId }: DynamoDBTables,
): { readonly name: string; readonly arn: string } {
  const prefix = `arn:aws:dynamodb:${region}:${accountId}:table/`;
  // DynamoDB Local returns ARNs of its own.
  const prefixes = [prefix, "arn:aws:dynamodb:ddblocal:000000000000:table/"];
  const found = prefixes.find((each) => typeof table === "string" && table.startsWith(each));
  const name = found === undefined ? table : String(table).slice(found.length);
  if (typeof name === "string" && /^[\w.-]+$/.test(name)) return { name, arn: `${prefix}${name}` };
  const shown = typeof table === "string" ? `; got \`${table}\`` : "";
  throw new Denied(`The request must name a table of this account and region${shown}`);
}
