import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DynamoDBTables, readDynamoDBAccess } from "./dynamodb-request.ts";

const PREFIX = "arn:aws:dynamodb:eu-west-1:000000000000:table";
const TABLES: DynamoDBTables = {
  region: "eu-west-1",
  accountId: "000000000000",
  partitionKey: (table, index) => (table === "none" ? undefined : index === undefined ? "pk" : `${index}Key`),
  streamArn: (table) => (table === "none" ? undefined : `${PREFIX}/${table}/stream/1`),
};

function access(operation: string, body: unknown) {
  const target = operation.includes(".") ? operation : `DynamoDB_20120810.${operation}`;
  return readDynamoDBAccess(target, JSON.stringify(body), TABLES);
}

/** Returns the checks as `action resource` and their context, without absent keys. */
function checks(operation: string, body: unknown) {
  const found = access(operation, body);
  if (found.kind === "denied") throw new Error(found.reason);
  return found.checks.map(({ action, resource, context = {} }) => {
    const present = Object.entries(context).filter(([, value]) => value.length > 0);
    const names = Object.fromEntries(present.map(([key, value]) => [key.replace("dynamodb:", ""), value]));
    return [`${action} ${resource.replace(PREFIX, "")}`, names] as const;
  });
}

const KEY = { pk: { S: "a" }, sk: { N: "1" } };

describe("the checks of a request", () => {
  it.each<[string, object, readonly (readonly [string, object])[]]>([
    [
      "GetItem",
      { TableName: "t", Key: KEY },
      [["dynamodb:GetItem /t", { LeadingKeys: ["a"], Attributes: ["pk", "sk"] }]],
    ],
    [
      "GetItem",
      {
        TableName: `${PREFIX}/t`,
        Key: { pk: { N: "7" } },
        ProjectionExpression: "#a.b, c[0].d, e",
        ExpressionAttributeNames: { "#a": "x.y" },
      },
      [["dynamodb:GetItem /t", { LeadingKeys: ["7"], Attributes: ["x.y", "c", "e", "pk"] }]],
    ],
    [
      "PutItem",
      {
        TableName: "t",
        Item: { pk: { B: "YQ==" }, v: { S: "1" } },
        Key: { pk: { S: "other" } },
        ReturnValues: "ALL_OLD",
      },
      [
        [
          "dynamodb:PutItem /t",
          { LeadingKeys: ["YQ=="], Attributes: ["pk", "v"], ReturnValues: ["ALL_OLD"] },
        ],
      ],
    ],
    [
      "UpdateItem",
      {
        TableName: "t",
        Key: KEY,
        UpdateExpression: "SET a = if_not_exists(b, :c) + :d REMOVE #e",
        ConditionExpression: "attribute_exists (f) AND NOT g IN (:c)",
        ExpressionAttributeNames: { "#e": "h" },
      },
      [["dynamodb:UpdateItem /t", { LeadingKeys: ["a"], Attributes: ["f", "g", "a", "b", "h", "pk", "sk"] }]],
    ],
    [
      "DeleteItem",
      { TableName: "t", Key: KEY, Expected: { v: { Exists: false } } },
      [["dynamodb:DeleteItem /t", { LeadingKeys: ["a"], Attributes: ["v", "pk", "sk"] }]],
    ],
    [
      "Query",
      {
        TableName: "t",
        KeyConditionExpression: "begins_with(sk, :s) AND #p = :p",
        ExpressionAttributeNames: { "#p": "pk" },
        ExpressionAttributeValues: { ":p": { S: "a" }, ":s": { S: "b" } },
      },
      [["dynamodb:Query /t", { LeadingKeys: ["a"], Attributes: ["sk", "pk"], Select: "ALL_ATTRIBUTES" }]],
    ],
    [
      "Query",
      {
        TableName: "t",
        IndexName: "g",
        KeyConditionExpression: "gKey=:p",
        ExpressionAttributeValues: { ":p": { S: "a" } },
      },
      [
        [
          "dynamodb:Query /t/index/g",
          { LeadingKeys: ["a"], Attributes: ["gKey"], Select: "ALL_PROJECTED_ATTRIBUTES" },
        ],
      ],
    ],
    [
      "Query",
      {
        TableName: "t",
        KeyConditions: { pk: { ComparisonOperator: "EQ", AttributeValueList: [{ S: "a" }] } },
        AttributesToGet: ["v"],
      },
      [["dynamodb:Query /t", { LeadingKeys: ["a"], Attributes: ["pk", "v"], Select: "SPECIFIC_ATTRIBUTES" }]],
    ],
    ...[":p = pk", "(pk) = (:p)", "( :p )=( pk )"].map(
      (KeyConditionExpression) =>
        [
          "Query",
          { TableName: "t", KeyConditionExpression, ExpressionAttributeValues: { ":p": { S: "a" } } },
          [["dynamodb:Query /t", { LeadingKeys: ["a"], Attributes: ["pk"], Select: "ALL_ATTRIBUTES" }]],
        ] as [string, object, (readonly [string, object])[]],
    ),
    [
      "DescribeTable",
      { TableName: "arn:aws:dynamodb:ddblocal:000000000000:table/t" },
      [["dynamodb:DescribeTable /t", {}]],
    ],
    [
      "Query",
      {
        TableName: "t",
        KeyConditionExpression: "sk = :s AND pk = :p",
        ExpressionAttributeValues: { ":p": { S: "a" }, ":s": { S: "b" } },
        ProjectionExpression: "v",
      },
      [
        [
          "dynamodb:Query /t",
          { LeadingKeys: ["a"], Attributes: ["sk", "pk", "v"], Select: "SPECIFIC_ATTRIBUTES" },
        ],
      ],
    ],
    [
      "Scan",
      { TableName: "t", IndexName: "g", Select: "COUNT" },
      [["dynamodb:Scan /t/index/g", { Select: "COUNT" }]],
    ],
    ["DescribeTable", { TableName: "t" }, [["dynamodb:DescribeTable /t", {}]]],
    ["ListTables", {}, [["dynamodb:ListTables *", {}]]],
    ["TagResource", { ResourceArn: `${PREFIX}/t` }, [["dynamodb:TagResource /t", {}]]],
    [
      "BatchGetItem",
      {
        RequestItems: {
          t: { Keys: [KEY, { pk: { S: "b" } }], ProjectionExpression: "v" },
          [`${PREFIX}/u`]: { Keys: [KEY] },
        },
      },
      [
        ["dynamodb:BatchGetItem /t", { LeadingKeys: ["a", "b"], Attributes: ["pk", "sk", "v"] }],
        ["dynamodb:BatchGetItem /u", { LeadingKeys: ["a"], Attributes: ["pk", "sk"] }],
      ],
    ],
    [
      "BatchWriteItem",
      {
        RequestItems: {
          t: [
            { PutRequest: { Item: { pk: { S: "b" }, v: { S: "" } }, Key: KEY } },
            { DeleteRequest: { Key: KEY } },
          ],
        },
      },
      [["dynamodb:BatchWriteItem /t", { LeadingKeys: ["b", "a"], Attributes: ["pk", "v", "sk"] }]],
    ],
    [
      "TransactGetItems",
      { TransactItems: [{ Get: { TableName: "t", Key: KEY } }] },
      [
        [
          "dynamodb:GetItem /t",
          { LeadingKeys: ["a"], Attributes: ["pk", "sk"], EnclosingOperation: "TransactGetItems" },
        ],
      ],
    ],
    [
      "TransactWriteItems",
      {
        TransactItems: [
          { Put: { TableName: "t", Item: KEY } },
          { Update: { TableName: "u", Key: KEY } },
          { Delete: { TableName: "t", Key: KEY } },
          { ConditionCheck: { TableName: "v", Key: KEY } },
        ],
      },
      ["PutItem /t", "UpdateItem /u", "DeleteItem /t", "ConditionCheckItem /v"].map(
        (check) =>
          [
            `dynamodb:${check}`,
            { LeadingKeys: ["a"], Attributes: ["pk", "sk"], EnclosingOperation: "TransactWriteItems" },
          ] as const,
      ),
    ],
    ["DynamoDBStreams_20120810.ListStreams", { TableName: "t" }, [["dynamodb:ListStreams *", {}]]],
    [
      "DynamoDBStreams_20120810.DescribeStream",
      { StreamArn: "arn:aws:dynamodb:ddblocal:000000000000:table/t/stream/2026" },
      [["dynamodb:DescribeStream /t/stream/1", {}]],
    ],
    [
      "DynamoDBStreams_20120810.GetRecords",
      {
        ShardIterator:
          "arn:aws:dynamodb:ddblocal:000000000000:table/t/stream/2026-11-29T01:44:20.868|001|abc",
      },
      [["dynamodb:GetRecords /t/stream/1", {}]],
    ],
  ])("%s %j", (operation, body, expected) => {
    expect(checks(operation, body)).toEqual(expected);
  });

  it.each<[string, object]>([
    ["GetItem", { TableName: "none", Key: KEY }],
    ["GetItem", { TableName: "t", Key: { sk: { S: "a" } } }],
    ["PutItem", { TableName: "t", Key: KEY }],
    ["GetItem", { TableName: "t", Key: { pk: { S: 5 } } }],
    ["GetItem", { TableName: "t", Key: { pk: { S: "a", N: "1" } } }],
    [
      "Query",
      { TableName: "t", KeyConditionExpression: "pk > :p", ExpressionAttributeValues: { ":p": { S: "a" } } },
    ],
    [
      "Query",
      {
        TableName: "t",
        KeyConditionExpression: "a.pk = :p",
        ExpressionAttributeValues: { ":p": { S: "a" } },
      },
    ],
    [
      "Query",
      {
        TableName: "t",
        KeyConditionExpression: ":p = pk.a",
        ExpressionAttributeValues: { ":p": { S: "a" } },
      },
    ],
    ["BatchGetItem", { RequestItems: { t: { Keys: [KEY, {}] } } }],
  ])("have no leading keys if they cannot be read: %s %j", (operation, body) => {
    const found = access(operation, body);
    const [check] = found.kind === "checks" ? found.checks : [];
    expect(check).toBeDefined();
    expect(check?.context).not.toHaveProperty("dynamodb:LeadingKeys");
  });
});

describe("a request is denied", () => {
  it.each<[string, unknown, string]>([
    [
      "ExecuteStatement",
      { Statement: "SELECT" },
      "PartiQL (ExecuteStatement) is not supported on this machine",
    ],
    ["BatchExecuteStatement", {}, "PartiQL"],
    ["ExecuteTransaction", {}, "PartiQL"],
    ["Unheard", {}, "The operation DynamoDB_20120810.Unheard is not supported"],
    ["Other_1.GetItem", {}, "The operation Other_1.GetItem is not supported"],
    ["DynamoDBStreams_20120810.Unheard", {}, "The operation Unheard of DynamoDB Streams"],
    [
      "DynamoDBStreams_20120810.GetRecords",
      { ShardIterator: "abc" },
      "The request GetRecords names no stream of the stack",
    ],
    [
      "DynamoDBStreams_20120810.DescribeStream",
      { StreamArn: `${PREFIX}/none/stream/1` },
      "The request DescribeStream names no stream",
    ],
    ["GetItem", [], "The request's body is not a JSON object"],
    ["GetItem", {}, "The request must name a table of this account and region"],
    [
      "GetItem",
      { TableName: "arn:aws:dynamodb:eu-west-1:1:table/t" },
      "The request must name a table of this account and region; got `arn:aws:dynamodb:eu-west-1:1:table/t`",
    ],
    ["GetItem", { TableName: "t/index/*" }, "The request must name a table"],
    ["BatchGetItem", { RequestItems: {} }, "The request has no `RequestItems`"],
    ["BatchGetItem", { RequestItems: { t: {} } }, "A table of `RequestItems` has no `Keys`"],
    ["BatchWriteItem", { RequestItems: { t: {} } }, "A table of `RequestItems` has no list of requests"],
    [
      "BatchWriteItem",
      { RequestItems: { t: [{ PutRequest: {}, DeleteRequest: {} }] } },
      "A request must be `PutRequest` or `DeleteRequest`",
    ],
    ["TransactGetItems", {}, "The request has no `TransactItems`"],
    ["TransactWriteItems", { TransactItems: [{}] }, "An item of `TransactItems` has no operation"],
    [
      "TransactWriteItems",
      { TransactItems: [{ constructor: {} }] },
      "Unknown operation `constructor` in `TransactItems`",
    ],
  ])("%s %j", (operation, body, reason) => {
    expect(access(operation, body)).toEqual({ kind: "denied", reason: expect.stringContaining(reason) });
  });

  it("if its body is not JSON", () => {
    expect(readDynamoDBAccess("DynamoDB_20120810.GetItem", "{", TABLES).kind).toBe("denied");
  });
});

it("throws nothing for any body, and returns a check or a denial", () => {
  const operations = fc.constantFrom(
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "DynamoDBStreams_20120810.GetRecords",
  );
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom("t", KEY, { t: [{ PutRequest: {} }] }, [{ Put: { TableName: "t" } }], "pk = :a", {
      ":a": null,
    }),
  );
  const names = [
    "TableName",
    "IndexName",
    "Key",
    "Item",
    "RequestItems",
    "TransactItems",
    "KeyConditionExpression",
    "KeyConditions",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "AttributesToGet",
    "Expected",
    "Select",
  ];
  const body = fc.record(Object.fromEntries(names.map((name) => [name, value])), { requiredKeys: [] });
  fc.assert(
    fc.property(operations, body, (operation, request) => {
      const found = access(operation, request);
      expect(found.kind === "denied" || found.checks.length > 0).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});
