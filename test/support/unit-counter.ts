import {
  type AttributeValue,
  ConditionalCheckFailedException,
  type ConsumedCapacity,
  type DynamoDBClient,
  type TransactWriteItemsInput,
} from "@aws-sdk/client-dynamodb";
import type { MeasuredUnits } from "../../src/cli/cost/units.ts";

export type Units = Omit<MeasuredUnits, "row">;

/**
 * Counts the units of a client's calls as AWS charges them. DynamoDB Local reports those of most calls, but not of
 * transactions, of queries without results, and of failed conditions.
 */
export class UnitCounter {
  readonly client: DynamoDBClient;
  #reads = 0;
  #writes = 0;

  constructor(client: DynamoDBClient) {
    this.client = client;
    this.client.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          const isTransaction = commandName === "TransactWriteItemsCommand";
          if (isTransaction) this.#writes += transactionUnits(args.input as TransactWriteItemsInput);
          Object.assign(args.input, { ReturnConsumedCapacity: "TOTAL" });
          const answer = await next(args).catch((error: unknown) => {
            if (error instanceof ConditionalCheckFailedException) this.#writes += 1;
            throw error;
          });
          const { ConsumedCapacity: consumed } = answer.output as { ConsumedCapacity?: ConsumedCapacity };
          const isRead = /^(?:Get|BatchGet|Query|Scan)/.test(commandName ?? "");
          if (!isRead) this.#writes += isTransaction ? 0 : sumOf(consumed);
          else this.#reads += Math.max(isConsistent(args.input) ? 1 : 0.5, sumOf(consumed));
          return answer;
        },
      { step: "initialize" },
    );
  }

  /** Returns the units since the last call. */
  take(): Units {
    const units = { reads: this.#reads, writes: this.#writes };
    this.#reads = 0;
    this.#writes = 0;
    return units;
  }
}

/** A batch reports a list, with an entry for each table. */
function sumOf(consumed: ConsumedCapacity | readonly ConsumedCapacity[] | undefined): number {
  return [consumed ?? []].flat().reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
}

function isConsistent(input: object): boolean {
  return (input as { ConsistentRead?: boolean }).ConsistentRead === true;
}

/** Write units of a transaction: two per KB of an item. */
function transactionUnits({ TransactItems }: TransactWriteItemsInput): number {
  const sizes = (TransactItems ?? []).map(({ Put }) => sizeOf({ M: Put?.Item ?? {} }));
  return sizes.reduce((sum, size) => sum + 2 * Math.ceil(size / 1_024), 0);
}

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html */
function sizeOf({ S, N, BOOL, M }: AttributeValue): number {
  if (S !== undefined) return Buffer.byteLength(S);
  if (N !== undefined) return Math.ceil(N.length / 2) + 1;
  if (BOOL !== undefined) return 1;
  return Object.entries(M ?? {}).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + sizeOf(value),
    0,
  );
}
