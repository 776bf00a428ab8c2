import type { EventReport, GatewayOptions } from "../../gateway/index.ts";
import {
  LambdaEmulatorError,
  serveLambdaApi,
  startDynamoDBLocal,
  type TableStreamPoller,
  TemplateError,
} from "../../lambda-emulator/index.ts";
import type { Terminal } from "../arguments.ts";
import { certificatePath } from "../certificate/certificate.ts";
import { developmentEnvironment } from "../development.ts";
import { DUMMY_CREDENTIALS } from "../environment.ts";
import { CliError } from "../errors.ts";
import type { ApiDescription } from "../lambda/lambda-environment.ts";
import { logError, logFunction } from "../log.ts";
import type { LoadedApp } from "../project/loaded-app.ts";
import { Alarms, type Metric } from "./alarms.ts";
import { readApi, readLimits } from "./api.ts";
import { serveAwsEndpoint } from "./aws-endpoint.ts";
import { StackBuckets } from "./buckets.ts";
import { callAt, callEvery } from "./cron.ts";
import { EventBuses } from "./event-bus.ts";
import { readEventSources, readSchedules, type Scheduled, startTableStreams } from "./events.ts";
import { serveFunctionUrls } from "./function-urls.ts";
import { StackFunctions } from "./functions.ts";
import { eventMetrics } from "./metrics.ts";
import { Callers } from "./roles.ts";
import type { Stack } from "./stack.ts";
import { assertTables, createTables, describeTables, hasTables } from "./tables.ts";

/** Settings of a stack that runs here. */
export interface RunSettings {
  /** Variables of all functions, which win over those of the template. */
  readonly environment: { readonly [name: string]: string };
  /** Default: DynamoDB Local is started. */
  readonly dynamoDBEndpoint: string | undefined;
  /** Calls every schedule at this interval, in ms. Default: its own. */
  readonly scheduleMs: number | undefined;
}

/** A stack that runs. */
export interface RunningStack {
  readonly app: LoadedApp;
  /** The gateway's options for the callers and the integrations. */
  readonly gateway: Pick<GatewayOptions, "authorizeCall" | "credentials" | "limits">;
  /** Takes the events of the API, for alarms. */
  readonly onEvent: (report: EventReport) => void;
  /** Lines for the start message, each a label and a text. */
  readonly notes: readonly (readonly [label: string, text: string])[];
  /**
   * Runs the functions, and decides by the policies, of a changed stack; sockets and tables stay.
   * @throws {CliError} FAILED when something else has changed, or the stack cannot run; the previous one then stays
   */
  readonly replace: (stack: Stack) => void;
  close(): Promise<void>;
}

/** Types whose resources may change while the stack runs. */
const REPLACEABLE = /^AWS::(CDK::Metadata|CloudWatch::.+|IAM::.+|Lambda::Function|Lambda::Version|Logs::.+)$/;

/** Returns what cannot change while the stack runs. */
function fixedParts({ template, functions }: Stack): string {
  const fixed = template.resources
    .filter(({ type }) => !REPLACEABLE.test(type))
    .map(({ logicalId, type, properties }) => [logicalId, type, properties]);
  return JSON.stringify([fixed, functions.map(({ resource }) => resource.logicalId)]);
}

/** Runs the tables, functions, streams and schedules of a stack. Nothing keeps running if it fails. @throws {CliError} */
export async function runStack(
  stack: Stack,
  settings: RunSettings,
  api: ApiDescription,
  terminal: Terminal,
): Promise<RunningStack> {
  const started: (() => Promise<void>)[] = [];
  let closing = false;
  const close = async () => {
    closing = true;
    // In the reverse order: what was started last uses what was started before.
    for (const stop of started.splice(0).reverse()) await stop();
  };
  try {
    return { ...(await start()), close };
  } catch (error) {
    await close();
    if (error instanceof TemplateError) throw new CliError("FAILED", error.message);
    throw error;
  }

  async function start() {
    const callers = new Callers(stack);
    const { region, accountId, partition } = stack.template.stack;
    // Known when the whole template has been read: a refusal then comes before DynamoDB Local starts.
    let dynamoDBEndpoint: string | undefined;
    const onError = (error: unknown) => logError(error, terminal.stderr);
    const alarms = new Alarms(stack, onError);
    const onMetric = (metric: Metric) => alarms.record(metric);
    const lambdaApi = await serveLambdaApi({
      getFunction: (name) => functions.find(name),
      onError,
      onFailure: ({ requestContext, responsePayload }) =>
        onError(`Discarded an event: ${requestContext.condition}: ${responsePayload.errorMessage}`),
    });
    started.push(() => lambdaApi.stop());
    const buckets = new StackBuckets(stack, { callers, onRefused: onError, now: Date.now });
    const aws = await serveAwsEndpoint({
      callers,
      buckets,
      tables: describeTables(stack),
      stack: stack.template.stack,
      get dynamoDBEndpoint() {
        return dynamoDBEndpoint;
      },
      lambdaEndpoint: lambdaApi.endpoint,
      functionArn: (name) => `arn:${partition}:lambda:${region}:${accountId}:function:${name}`,
      putEvents: (entries) => eventBuses.put(entries),
      onRefused: onError,
    });
    started.push(() => aws.stop());
    const functions = new StackFunctions(stack, {
      callers,
      defaults: await developmentEnvironment(api.host),
      overrides: {
        AWS_ENDPOINT_URL: aws.url,
        AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI: api.endpoint,
        AWS_ENDPOINT_URL_DYNAMODB: aws.url,
        AWS_ENDPOINT_URL_LAMBDA: aws.url,
        AWS_ENDPOINT_URL_S3: aws.url,
        // Handlers that build the endpoint from the event use HTTPS, which the gateway's port accepts.
        NODE_EXTRA_CA_CERTS: certificatePath(),
        ...settings.environment,
      },
      apiHosts: api.apiHosts,
      log: (name, line) => logFunction(name, line, terminal),
      onMetric,
    });
    started.push(() => functions.stop());
    const app = readApi(stack, functions);
    const schedules = readSchedules(stack, functions, terminal);
    const eventBuses = new EventBuses(stack, functions, terminal);
    const sources = readEventSources(stack, functions, callers);
    const limits = readLimits(stack);
    assertTables(stack);
    dynamoDBEndpoint = settings.dynamoDBEndpoint ?? (hasTables(stack) ? await startDatabase() : undefined);
    const access = {
      // Without tables nothing uses it.
      endpoint: dynamoDBEndpoint ?? "",
      region,
      credentials: {
        accessKeyId: DUMMY_CREDENTIALS.AWS_ACCESS_KEY_ID,
        secretAccessKey: DUMMY_CREDENTIALS.AWS_SECRET_ACCESS_KEY,
      },
    };
    const { port } = new URL(api.endpoint);
    const functionUrls = await serveFunctionUrls(stack, functions, {
      host: api.host,
      port: Number(port) + 1,
      onError,
    });
    started.push(() => functionUrls.stop());
    const tables = await createTables(stack, access);
    const pollers = await startTableStreams(sources, { functions, access, terminal, onMetric });
    started.push(() => stopAll(pollers));
    started.push(callAll(schedules, settings.scheduleMs));
    return {
      app,
      onEvent: (report: EventReport) =>
        eventMetrics(stack.api.ref, stack.stage.ref, report).forEach(onMetric),
      replace(changed: Stack) {
        if (fixedParts(changed) !== fixedParts(stack)) {
          throw new CliError("FAILED", "More than functions and policies has changed; restart to apply it");
        }
        try {
          functions.replace(changed);
        } catch (error) {
          throw error instanceof TemplateError ? new CliError("FAILED", error.message) : error;
        }
        callers.replace(changed);
      },
      gateway: {
        limits,
        credentials: callers.credentials,
        authorizeCall: ({ accessKeyId, method, connectionId }) =>
          callers.decide(accessKeyId, {
            action: "execute-api:ManageConnections",
            resource: `arn:${partition}:execute-api:${region}:${accountId}:${stack.api.ref}/${stack.stage.ref}/${method}/@connections/${connectionId}`,
          }),
      } satisfies RunningStack["gateway"],
      notes: [
        ...(functions.names.length > 0 ? [["Functions", functions.names.join("  ")] as const] : []),
        ...[...functionUrls.urls].map(([name, url]) => ["Function URL", `${url}  (${name})`] as const),
        ...(buckets.names.length > 0 ? [["S3", `${aws.url}  (${buckets.names.join("  ")})`] as const] : []),
        ...(tables.length > 0 ? [["DynamoDB", `${dynamoDBEndpoint}  (${tables.join("  ")})`] as const] : []),
        ["Policies", "each call of a function is decided by its role"],
        ...stack.functions
          .filter(({ policies }) => policies === undefined)
          .map(
            ({ resource: { logicalId }, roleName }) =>
              [
                "Not enforced",
                `all calls of ${logicalId}: its role ${roleName} is not in the template`,
              ] as const,
          ),
        ...[...stack.notRun].map(
          ([reason, names]) => ["Not run here", `${reason}: ${names.join("  ")}`] as const,
        ),
      ] as const,
    };
  }

  async function startDatabase(): Promise<string> {
    const dynamoDB = await startDynamoDBLocal().catch((error: unknown) => {
      if (!(error instanceof LambdaEmulatorError)) throw error;
      throw new CliError("FAILED", `${error.message}, or set --dynamodb-endpoint`);
    });
    started.push(() => dynamoDB.stop());
    void dynamoDB.ended.then(() => {
      if (!closing)
        logError("DynamoDB Local has ended and its tables are lost; start again", terminal.stderr);
    });
    return dynamoDB.endpoint;
  }
}

async function stopAll(pollers: readonly TableStreamPoller[]): Promise<void> {
  await Promise.all(pollers.map((poller) => poller.stop()));
}

/**
 * Starts the schedules.
 * @param scheduleMs an interval for all of them; default their own times
 * @returns what stops them
 */
export function callAll(
  schedules: readonly Scheduled[],
  scheduleMs: number | undefined,
): () => Promise<void> {
  const stops = schedules.map(({ when, call }) => {
    if (scheduleMs !== undefined) return callEvery(scheduleMs, call);
    return "next" in when ? callAt(when, call) : callEvery(when.everyMs, call);
  });
  return async () => {
    for (const stop of stops) stop();
  };
}
