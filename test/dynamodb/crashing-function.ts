// A function in its own process that hangs at a given request, where the test kills it.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { dynamoDBConnectionStore } from "lift-ws/store/dynamodb";
import { lambdaContext, recordingConnections } from "lift-ws/testing";
import { createApp } from "./app.ts";

export interface CrashOptions {
  readonly endpoint: string;
  readonly tableName: string;
  readonly maxConnections?: number;
  /** ms since the epoch. */
  readonly now: number;
  readonly event: object;
  /** The DynamoDB request at which it hangs, `before` it is sent or `after` it took effect. */
  readonly operation: string;
  readonly moment: "before" | "after";
}

const options = JSON.parse(process.argv[2] ?? "") as CrashOptions;
const credentials = { accessKeyId: "local", secretAccessKey: "local" };
const client = new DynamoDBClient({ endpoint: options.endpoint, region: "us-east-1", credentials });
const forever = setInterval(() => {}, 60_000);

client.middlewareStack.add(
  (next, context) => async (args) => {
    if (context.commandName !== `${options.operation}Command`) return next(args);
    if (options.moment === "after") await next(args);
    process.send?.("there");
    return new Promise(() => {});
  },
  { step: "initialize" },
);

const { tableName, maxConnections } = options;
const now = () => options.now;
const connectionStore = dynamoDBConnectionStore({
  tableName,
  client,
  now,
  ...(maxConnections === undefined ? {} : { maxConnections }),
});
const handler = createApp({ connectionStore, connections: recordingConnections(), now }).webSocketHandler();
process.send?.(await handler(options.event as never, lambdaContext()));
clearInterval(forever);
