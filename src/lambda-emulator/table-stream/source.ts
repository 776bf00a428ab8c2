import type { DynamoDBStreamsClient, GetShardIteratorInput } from "@aws-sdk/client-dynamodb-streams";
import { LambdaEmulatorError } from "../errors.ts";
import { type TableStreamRecord, toTableStreamRecord } from "./record.ts";

/** A shard of a table stream. */
export interface TableStreamShard {
  readonly id: string;
  /** The shard before this one. It may no longer exist. */
  readonly parentId?: string | undefined;
  /** True when the shard gets no more records. */
  readonly closed: boolean;
}

/** A page of records. */
export interface TableStreamPage {
  readonly records: readonly TableStreamRecord[];
  /** The next iterator; absent at the end of a closed shard. */
  readonly next: string | undefined;
}

/** The position at which the reading of a shard starts. */
export type ShardPosition = "TRIM_HORIZON" | "LATEST" | { readonly after: string };

/** An open table stream. */
export interface TableStreamSource {
  readonly arn: string;
  shards(): Promise<readonly TableStreamShard[]>;
  /** Resolves to an iterator for `read`. */
  iterator(shardId: string, position: ShardPosition): Promise<string>;
  read(iterator: string): Promise<TableStreamPage>;
  close(): void;
}

/** The table whose stream is opened. */
export interface TableStreamAccess {
  /** The DynamoDB endpoint. */
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly tableName: string;
}

/**
 * Opens a table stream.
 * @throws {LambdaEmulatorError} STREAM_UNAVAILABLE when the SDK is not installed or the table has no stream
 */
export async function openTableStream({
  tableName,
  region,
  ...access
}: TableStreamAccess): Promise<TableStreamSource> {
  const sdk = await import("@aws-sdk/client-dynamodb-streams").catch((cause: unknown) => {
    const message =
      "A table stream needs the AWS SDK: npm install --save-dev @aws-sdk/client-dynamodb-streams";
    throw new LambdaEmulatorError("STREAM_UNAVAILABLE", message, { cause });
  });
  const client = new sdk.DynamoDBStreamsClient({ region, ...access });
  const arn = await findLatestStreamArn(client, tableName).catch((error: unknown) => {
    client.destroy();
    throw error;
  });
  return {
    arn,
    close: () => client.destroy(),
    async shards() {
      const shards: TableStreamShard[] = [];
      let ExclusiveStartShardId: string | undefined;
      do {
        const command = new sdk.DescribeStreamCommand({ StreamArn: arn, ExclusiveStartShardId });
        const { Shards = [], LastEvaluatedShardId } = (await client.send(command)).StreamDescription ?? {};
        for (const { ShardId, ParentShardId, SequenceNumberRange } of Shards) {
          const closed = SequenceNumberRange?.EndingSequenceNumber !== undefined;
          shards.push({ id: ShardId!, parentId: ParentShardId, closed });
        }
        ExclusiveStartShardId = LastEvaluatedShardId;
      } while (ExclusiveStartShardId !== undefined);
      return shards;
    },
    async iterator(ShardId, position) {
      const input = { StreamArn: arn, ShardId, ...toIteratorInput(position) };
      return (await client.send(new sdk.GetShardIteratorCommand(input))).ShardIterator!;
    },
    async read(ShardIterator) {
      const command = new sdk.GetRecordsCommand({ ShardIterator });
      const { Records = [], NextShardIterator } = await client.send(command);
      return {
        records: Records.map((record) => toTableStreamRecord(record, arn, region)),
        next: NextShardIterator,
      };
    },
  };

  /** Finds the latest stream, because a disabled one stays listed for a day. */
  async function findLatestStreamArn(from: DynamoDBStreamsClient, TableName: string): Promise<string> {
    const { Streams = [] } = await from.send(new sdk.ListStreamsCommand({ TableName }));
    const [latest] = Streams.toSorted((a, b) => (a.StreamLabel! < b.StreamLabel! ? 1 : -1));
    if (latest?.StreamArn !== undefined) return latest.StreamArn;
    throw new LambdaEmulatorError("STREAM_UNAVAILABLE", `The table ${TableName} has no stream; enable it`);
  }
}

function toIteratorInput(position: ShardPosition): Pick<
  GetShardIteratorInput,
  "SequenceNumber" | "ShardIteratorType"
> & {
  ShardIteratorType: string;
} {
  if (typeof position === "string") return { ShardIteratorType: position };
  return { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", SequenceNumber: position.after };
}
