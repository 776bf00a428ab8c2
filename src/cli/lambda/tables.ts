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
 * @param withChannels creates the tables of channels too
 * @returns the names of the tables
 * @throws {CliError} FAILED
 */
export async function createTables(
  environment: Environment,
  region: string,
  withChannels: boolean,
): Promise<string[]> {
  const { CONNECTIONS_TABLE: tableName = "", SCHEDULE_TABLE: scheduleTableName = "" } = environment;
  const { MESSAGES_TABLE: messageTableName = "", MEMBERS_TABLE: memberTableName = "" } = environment;
  const channels = withChannels ? { messageTableName, memberTableName } : {};
  const names = { tableName, scheduleTableName, ...channels };
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

/** Passes stored messages to a function, like its event source on AWS. @throws {CliError} FAILED */
export async function startTableStream(
  fanOut: LambdaFunction,
  environment: Environment,
  region: string,
  terminal: Terminal,
): Promise<TableStreamPoller> {
  const { MESSAGE_TABLE_STREAM_SOURCE } = await import("../../store/dynamodb/index.ts");
  const { batchWindowSeconds, maxRecordAgeSeconds, ...source } = MESSAGE_TABLE_STREAM_SOURCE;
  const log = (error: unknown) => logError(error, terminal.stderr);
  try {
    return await pollTableStream({
      ...source,
      batchWindowMs: 1000 * batchWindowSeconds,
      maxRecordAgeMs: 1000 * maxRecordAgeSeconds,
      tableName: environment.MESSAGES_TABLE ?? "",
      region,
      ...readAccess(environment),
      handler: (event) => fanOut.invoke(event).catch(logAndRethrow(log)),
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
