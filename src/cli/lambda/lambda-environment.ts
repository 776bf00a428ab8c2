import { randomUUID } from "node:crypto";
import type { Credentials } from "../../gateway/index.ts";
import {
  type ApiHosts,
  LambdaEmulatorError,
  type LambdaFunction,
  serveLambdaApi,
  startDynamoDBLocal,
} from "../../lambda-emulator/index.ts";
import type { Terminal } from "../arguments.ts";
import { certificatePath } from "../certificate/certificate.ts";
import { developmentEnvironment } from "../development.ts";
import { DUMMY_CREDENTIALS } from "../environment.ts";
import { CliError } from "../errors.ts";
import { logError, logFunction } from "../log.ts";
import type { LoadedApp } from "../project/loaded-app.ts";
import { assertFunctionFolder, FunctionFolder } from "./functions.ts";
import { createTables, startTableStream } from "./tables.ts";

/** Settings of `--lambda`. */
export interface LambdaSettings {
  /** The folder of bundles, with a subfolder for each function. */
  readonly folder: string;
  /** Environment variables of the functions. They override those that `startLambdaEnvironment` sets. */
  readonly environment: { readonly [name: string]: string };
  /** Default: DynamoDB Local is started. */
  readonly dynamoDBEndpoint: string | undefined;
  readonly tickMs: number;
  readonly timeoutMs: number;
  readonly processes: number;
}

/** The settings of the API that its functions need. */
export interface ApiDescription {
  /** The @connections endpoint. */
  readonly endpoint: string;
  readonly host: string;
  readonly region: string;
  readonly apiHosts: ApiHosts;
  /** The key pair that @connections verifies, if any. */
  readonly credentials: Credentials | undefined;
}

/** Running functions with their database, table stream and schedule. */
export interface LambdaEnvironment {
  readonly app: LoadedApp;
  readonly functionNames: readonly string[];
  readonly dynamoDBEndpoint: string;
  readonly tables: readonly string[];
  close(): Promise<void>;
}

/**
 * Loads the functions, and starts DynamoDB, the table stream and the schedule. A function's process starts with its first
 * event.
 * @throws {CliError}
 */
export async function startLambdaEnvironment(
  settings: LambdaSettings,
  api: ApiDescription,
  terminal: Terminal,
): Promise<LambdaEnvironment> {
  await assertFunctionFolder(settings.folder);
  const dynamoDB = settings.dynamoDBEndpoint === undefined ? await localDynamoDB() : undefined;
  const dynamoDBEndpoint = dynamoDB?.endpoint ?? settings.dynamoDBEndpoint!;
  let closing = false;
  void dynamoDB?.ended.then(() => {
    if (closing) return;
    logError("DynamoDB Local has ended and its tables are lost; restart the server", terminal.stderr);
  });
  const stops: (() => unknown)[] = [];
  const close = async () => {
    closing = true;
    // In parallel: a poller waits for its invocation, which the stop of the functions ends.
    await Promise.all(stops.map((stop) => stop()));
    await dynamoDB?.stop();
  };
  try {
    const started = await startFunctions(settings, api, dynamoDBEndpoint, terminal, stops);
    return { ...started, dynamoDBEndpoint, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @param stops receives a function for each started part, also when the start fails */
async function startFunctions(
  settings: LambdaSettings,
  api: ApiDescription,
  dynamoDBEndpoint: string,
  terminal: Terminal,
  stops: (() => unknown)[],
): Promise<Pick<LambdaEnvironment, "app" | "functionNames" | "tables">> {
  const { region } = api;
  const lambdaApi = await startLambdaApi((name) => functions.find(name), terminal);
  stops.push(() => lambdaApi.stop());
  const environment = {
    AWS_ENDPOINT_URL_LAMBDA: lambdaApi.endpoint,
    ...(await createFunctionEnvironment(api, dynamoDBEndpoint, settings.environment)),
  };
  const functions = new FunctionFolder(settings.folder, {
    environment,
    region,
    timeoutMs: settings.timeoutMs,
    processes: settings.processes,
    apiHosts: api.apiHosts,
    log: (name, line) => logFunction(name, line, terminal),
  });
  stops.push(() => functions.stop());
  const { tick, fanOut, dispatch } = functions;
  const uses = { channels: fanOut !== undefined, requests: dispatch !== undefined };
  const tables = await createTables(environment, region, uses);
  const app = await functions.load();
  for (const [stream, receiver] of [
    ["messages", fanOut],
    ["requests", dispatch],
  ] as const) {
    if (receiver === undefined) continue;
    const poller = await startTableStream(stream, receiver, environment, region, terminal);
    stops.push(() => poller.stop());
  }
  const scheduled = [tick, dispatch].filter((it) => it !== undefined);
  stops.push(callEvery(settings.tickMs, scheduled, region, terminal));
  return { app, functionNames: functions.names, tables };
}

function startLambdaApi(getFunction: (name: string) => LambdaFunction | undefined, terminal: Terminal) {
  const log = (error: Error | string) => logError(error, terminal.stderr);
  return serveLambdaApi({
    getFunction,
    onError: log,
    onFailure: ({ requestContext, responsePayload }) =>
      log(`Discarded an event: ${requestContext.condition}: ${responsePayload.errorMessage}`),
  });
}

async function localDynamoDB() {
  try {
    return await startDynamoDBLocal();
  } catch (error) {
    if (!(error instanceof LambdaEmulatorError)) throw error;
    throw new CliError("FAILED", `${error.message}, or set --dynamodb-endpoint`);
  }
}

async function createFunctionEnvironment(
  api: ApiDescription,
  dynamoDBEndpoint: string,
  own: LambdaSettings["environment"],
) {
  const { endpoint, host, credentials } = api;
  return {
    ...(credentials === undefined
      ? DUMMY_CREDENTIALS
      : { AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey }),
    AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI: endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDBEndpoint,
    CONNECTIONS_TABLE: "connections",
    SCHEDULE_TABLE: "schedule",
    MESSAGES_TABLE: "messages",
    MEMBERS_TABLE: "members",
    REQUESTS_TABLE: "requests",
    // Handlers that build the endpoint from the event use HTTPS, which the gateway's port accepts.
    NODE_EXTRA_CA_CERTS: certificatePath(),
    ...(await developmentEnvironment(host)),
    ...own,
  };
}

/** Calls the scheduled functions like EventBridge: calls may overlap. */
function callEvery(
  ms: number,
  functions: readonly LambdaFunction[],
  region: string,
  terminal: Terminal,
): () => void {
  const timer = setInterval(() => {
    for (const each of functions) {
      each.invoke(createScheduledEvent(region)).catch((error: unknown) => logError(error, terminal.stderr));
    }
  }, ms);
  return () => clearInterval(timer);
}

function createScheduledEvent(region: string) {
  return {
    version: "0",
    id: randomUUID(),
    "detail-type": "Scheduled Event",
    source: "aws.events",
    account: "000000000000",
    time: new Date().toISOString().replace(/\.\d+/, ""),
    region,
    resources: [`arn:aws:events:${region}:000000000000:rule/tick`],
    detail: {},
  };
}
