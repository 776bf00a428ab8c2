import { randomUUID } from "node:crypto";
import type { Credentials } from "../../gateway/index.ts";
import {
  type ApiHosts,
  LambdaEmulatorError,
  type LambdaFunction,
  serveLambdaApi,
  startDynamoDBLocal,
  type TableStreamPoller,
} from "../../lambda-emulator/index.ts";
import type { Terminal } from "../arguments.ts";
import { certificatePath } from "../certificate/certificate.ts";
import { developmentEnvironment } from "../development.ts";
import { DUMMY_CREDENTIALS } from "../environment.ts";
import { CliError } from "../errors.ts";
import { logError, logFunction } from "../log.ts";
import type { LoadedApp } from "../project/loaded-app.ts";
import { FunctionFolder } from "./functions.ts";
import { createTables, startMessageStream, startRequestStream } from "./tables.ts";

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
  readonly concurrency: number;
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
  const dynamoDB = settings.dynamoDBEndpoint === undefined ? await localDynamoDB() : undefined;
  const dynamoDBEndpoint = dynamoDB?.endpoint ?? settings.dynamoDBEndpoint!;
  const lambdaApi = await serveLambdaApi({
    getFunction: (name) => functions.find(name),
    onError: (error) => logError(error, terminal.stderr),
    onFailure: ({ requestContext, responsePayload }) =>
      logError(
        `Discarded an event: ${requestContext.condition}: ${responsePayload.errorMessage}`,
        terminal.stderr,
      ),
  });
  const environment = {
    AWS_ENDPOINT_URL_LAMBDA: lambdaApi.endpoint,
    ...(await createFunctionEnvironment(api, dynamoDBEndpoint, settings.environment)),
  };
  const functions = new FunctionFolder(settings.folder, {
    environment,
    region: api.region,
    timeoutMs: settings.timeoutMs,
    concurrency: settings.concurrency,
    apiHosts: api.apiHosts,
    log: (name, line) => logFunction(name, line, terminal),
  });
  let stopTicking = () => {};
  const pollers: TableStreamPoller[] = [];
  let closing = false;
  void dynamoDB?.ended.then(() => {
    if (closing) return;
    logError("DynamoDB Local has ended and its tables are lost; restart the server", terminal.stderr);
  });
  const close = async () => {
    closing = true;
    stopTicking();
    // In parallel: the poller waits for its invocation, which `functions.stop` ends.
    await Promise.all([...pollers.map((poller) => poller.stop()), lambdaApi.stop(), functions.stop()]);
    await dynamoDB?.stop();
  };
  try {
    const { tick, fanOut, dispatch } = functions;
    const uses = { channels: fanOut !== undefined, requests: dispatch !== undefined };
    const tables = await createTables(environment, api.region, uses);
    const app = await functions.load();
    const { region } = api;
    if (fanOut !== undefined) pollers.push(await startMessageStream(fanOut, environment, region, terminal));
    if (dispatch !== undefined)
      pollers.push(await startRequestStream(dispatch, environment, region, terminal));
    const scheduled = [tick, dispatch].filter((it) => it !== undefined);
    stopTicking = callEvery(settings.tickMs, scheduled, region, terminal);
    return { app, functionNames: functions.names, dynamoDBEndpoint, tables, close };
  } catch (error) {
    await close();
    throw error;
  }
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
