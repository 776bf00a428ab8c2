import {
  LambdaEmulatorError,
  type LambdaFunction,
  pollTableStream,
  type TableStreamPoller,
} from "../../lambda-emulator/index.ts";
import type { Terminal } from "../arguments.ts";
import { CliError } from "../errors.ts";
import { logError } from "../log.ts";

/** Environment variables of the functions. */
type Environment = { readonly [name: string]: string };

/**
 * Creates the missing tables that the environment names.
 * @param uses creates the tables of channels, and of requests, too
 * @returns the names of the tables
 * @throws {CliError} FAILED
 */
export async function createTables(
  environment: Environment,
  region: string,
  uses: { readonly channels: boolean; readonly requests: boolean },
): Promise<string[]> {
  const { CONNECTIONS_TABLE: tableName = "", SCHEDULE_TABLE: scheduleTableName = "" } = environment;
  const { MESSAGES_TABLE: messageTableName = "", MEMBERS_TABLE: memberTableName = "" } = environment;
  const { REQUESTS_TABLE: requestTableName = "" } = environment;
  const names = {
    ...{ tableName, scheduleTableName },
    ...(uses.channels && { messageTableName, memberTableName }),
    ...(uses.requests && { requestTableName }),
  };
  const sdk = await import("@aws-sdk/client-dynamodb").catch((cause: unknown) => {
    throw new CliError("FAILED", "--lambda needs the AWS SDK: npm install @aws-sdk/client-dynamodb", {
      cause,
    });
  });
  const store = await import("../../store/dynamodb/index.ts");
  const { endpoint, credentials } = readAccess(environment);
  const client = new sdk.DynamoDBClient({ endpoint, region, credentials });
  try {
    await store.createTables({ client, ...names });
    return Object.values(names);
  } catch (cause) {
    const tables = Object.values(names).join(", ");
    throw new CliError("FAILED", `Cannot create the tables ${tables} at ${endpoint}:`, { cause });
  } finally {
    client.destroy();
  }
}

/** The variables of the tables whose streams functions receive, and the settings of their event sources. */
const STREAMS = {
  messages: ["MESSAGES_TABLE", "MESSAGE_TABLE_STREAM_SOURCE"],
  requests: ["REQUESTS_TABLE", "REQUEST_TABLE_STREAM_SOURCE"],
} as const;

/** Passes stored messages or requests to a function, like its event source on AWS. @throws {CliError} FAILED */
export async function startTableStream(
  stream: keyof typeof STREAMS,
  lambdaFunction: LambdaFunction,
  environment: Environment,
  region: string,
  terminal: Terminal,
): Promise<TableStreamPoller> {
  const [tableVariable, sourceName] = STREAMS[stream];
  const { [sourceName]: source } = await import("../../store/dynamodb/index.ts");
  const { batchWindowSeconds, maxRecordAgeSeconds, ...settings } = source;
  const log = (error: unknown) => logError(error, terminal.stderr);
  try {
    return await pollTableStream({
      ...settings,
      batchWindowMs: 1000 * batchWindowSeconds,
      maxRecordAgeMs: 1000 * maxRecordAgeSeconds,
      tableName: environment[tableVariable] ?? "",
      region,
      ...readAccess(environment),
      handler: (event) => lambdaFunction.invoke(event).catch(logAndRethrow(log)),
      onFailure: ({ condition, records }) => log(`Discarded ${records.length} records: ${condition}`),
      onError: log,
    });
  } catch (error) {
    if (error instanceof LambdaEmulatorError) throw new CliError("FAILED", error.message);
    throw error;
  }
}

function logAndRethrow(log: (error: unknown) => void) {
  return (error: unknown): never => {
    log(error);
    throw error;
  };
}

function readAccess(environment: Environment) {
  const { AWS_ACCESS_KEY_ID: accessKeyId = "", AWS_SECRET_ACCESS_KEY: secretAccessKey = "" } = environment;
  const { AWS_ENDPOINT_URL_DYNAMODB: endpoint = "" } = environment;
  return { endpoint, credentials: { accessKeyId, secretAccessKey } };
}
