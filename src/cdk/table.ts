import type { RemovalPolicy } from "aws-cdk-lib";
import * as dynamodb from "aws-cdk-lib/aws-dynamodb";
import type { Construct } from "constructs";
import type { TableDefinition } from "../store/dynamodb/tables.ts";

/** Settings of all tables. */
export interface TableSettings {
  readonly removalPolicy: RemovalPolicy;
  readonly deletionProtection: boolean;
  readonly warmThroughput: dynamodb.WarmThroughput | undefined;
  readonly encryption: dynamodb.TableEncryption;
}

/** Creates the table of a definition, billed on demand, with TTL and point-in-time recovery. */
export function createTable(
  scope: Construct,
  id: string,
  definition: TableDefinition,
  { warmThroughput, ...settings }: TableSettings,
): dynamodb.Table {
  const { partitionKey, sortKey, indexes, projection, timeToLive, tableStream } = definition;
  const table = new dynamodb.Table(scope, id, {
    partitionKey: key(partitionKey),
    ...(sortKey !== undefined && { sortKey: key(sortKey) }),
    billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
    timeToLiveAttribute: timeToLive,
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    ...(tableStream !== undefined && { stream: dynamodb.StreamViewType[tableStream] }),
    ...(warmThroughput !== undefined && { warmThroughput }),
    ...settings,
  });
  for (const index of indexes) {
    table.addGlobalSecondaryIndex({
      indexName: index.name,
      partitionKey: key(index.partitionKey),
      sortKey: key(index.sortKey),
      projectionType: dynamodb.ProjectionType[projection],
      ...(warmThroughput !== undefined && { warmThroughput }),
    });
  }
  return table;
}

function key(name: string): dynamodb.Attribute {
  return { name, type: dynamodb.AttributeType.STRING };
}
