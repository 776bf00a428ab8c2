import {
  BatchGetItemCommand,
  type BatchGetItemInput,
  type BatchGetItemOutput,
  type DynamoDBClient,
  GetItemCommand,
  type GetItemInput,
  type GetItemOutput,
  PutItemCommand,
  type PutItemInput,
  type PutItemOutput,
  QueryCommand,
  type QueryInput,
  type QueryOutput,
  ScanCommand,
  type ScanInput,
  type ScanOutput,
  TransactWriteItemsCommand,
  type TransactWriteItemsInput,
  type TransactWriteItemsOutput,
  UpdateItemCommand,
  type UpdateItemInput,
  type UpdateItemOutput,
} from "@aws-sdk/client-dynamodb";

/** What the store asks of DynamoDB: the names and shapes of its API. */
export interface Operations {
  GetItem: { input: GetItemInput; output: GetItemOutput };
  PutItem: { input: PutItemInput; output: PutItemOutput };
  UpdateItem: { input: UpdateItemInput; output: UpdateItemOutput };
  BatchGetItem: { input: BatchGetItemInput; output: BatchGetItemOutput };
  Query: { input: QueryInput; output: QueryOutput };
  Scan: { input: ScanInput; output: ScanOutput };
  TransactWriteItems: { input: TransactWriteItemsInput; output: TransactWriteItemsOutput };
}

export type Operation = keyof Operations;

/** One attempt at one operation. Rejects with an error that has DynamoDB's exception as its `name`. */
export type Transport = <Name extends Operation>(
  operation: Name,
  input: Operations[Name]["input"],
  signal: AbortSignal,
) => Promise<Operations[Name]["output"]>;

const COMMANDS = {
  GetItem: GetItemCommand,
  PutItem: PutItemCommand,
  UpdateItem: UpdateItemCommand,
  BatchGetItem: BatchGetItemCommand,
  Query: QueryCommand,
  Scan: ScanCommand,
  TransactWriteItems: TransactWriteItemsCommand,
};

/** Through the AWS SDK's client. */
export function sdkTransport(client: DynamoDBClient): Transport {
  return (operation, input, abortSignal) => {
    // The type can't say that a command's input and output follow from its name.
    const Command = COMMANDS[operation] as unknown as new (input: unknown) => GetItemCommand;
    return client.send(new Command(input), { abortSignal });
  };
}
