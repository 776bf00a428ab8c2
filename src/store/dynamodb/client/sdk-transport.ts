import {
  BatchGetItemCommand,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import type { Transport } from "./transport.ts";

const COMMANDS = {
  GetItem: GetItemCommand,
  PutItem: PutItemCommand,
  UpdateItem: UpdateItemCommand,
  DeleteItem: DeleteItemCommand,
  BatchGetItem: BatchGetItemCommand,
  Query: QueryCommand,
  Scan: ScanCommand,
  TransactWriteItems: TransactWriteItemsCommand,
};

/** Calls DynamoDB through the AWS SDK's client. */
export function createSdkTransport(client: DynamoDBClient): Transport {
  return (operation, input, abortSignal) => {
    // The types cannot express that a command's input and output follow from its name.
    const Command = COMMANDS[operation] as unknown as new (input: unknown) => GetItemCommand;
    return client.send(new Command(input), { abortSignal });
  };
}
