// The three ways of examples/migration on DynamoDB Local, each with new tables.
import { randomUUID } from "node:crypto";
import {
  CreateTableCommand,
  type DynamoDBClient,
  paginateScan,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import type { Connections, LambdaHandler } from "lift-ws/apigw";
import {
  createTables,
  dynamoDBChannelStore,
  dynamoDBConnectionStore,
  REQUEST_TABLE_STREAM_SOURCE,
} from "lift-ws/store/dynamodb";
import { lambdaContext } from "lift-ws/testing";
import { createConnect } from "../../examples/migration/by-hand/connect.ts";
import { createDisconnect } from "../../examples/migration/by-hand/disconnect.ts";
import { createProcessor } from "../../examples/migration/by-hand/processor.ts";
import { createRouter } from "../../examples/migration/by-hand/router.ts";
import { createServices, type Services } from "../../examples/migration/by-hand/services.ts";
import { CONNECTION_TABLE, REQUEST_TABLE } from "../../examples/migration/by-hand/tables.ts";
import { createReports } from "../../examples/migration/lift/app.ts";
import { createOldApp } from "../../examples/migration/old-pattern/app.ts";
import type { MakeReport } from "../../examples/migration/report.ts";
import { pollTableStream, type TableStreamEvent } from "../../src/lambda-emulator/index.ts";
import { awsConnections, jsonLogger } from "../../src/lift/index.ts";

const LOCAL = { region: "us-east-1", credentials: { accessKeyId: "local", secretAccessKey: "local" } };
const MINUTE = 60_000;
const TICK_MS = 100;

export interface DeployOptions {
  readonly auth: { readonly secret: Uint8Array; readonly issuer: string; readonly audience: string };
  /** Endpoint of @connections. */
  readonly endpoint: string;
  readonly makeReport: MakeReport;
  /** Time of one attempt, in ms. */
  readonly timeoutMs: number;
  readonly attempts: number;
  /** Interval of the schedule that is one minute on AWS, in ms. */
  readonly tickMs?: number;
}

/** The functions of one way. */
export interface Deployment {
  readonly connect: LambdaHandler;
  readonly disconnect: LambdaHandler;
  readonly router: LambdaHandler;
  /** Ids of the connections that are stored. */
  readonly listConnections: () => Promise<string[]>;
  /** Delivers the records of the requests' stream once more. Absent: there is no stream. */
  readonly redeliver?: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** One of the three ways, with its tables. */
export interface Side {
  readonly name: string;
  deploy(options: DeployOptions): Promise<Deployment>;
}

export interface SideTarget {
  /** The client of all stores and tables. */
  readonly client: DynamoDBClient;
  /** Endpoint of DynamoDB Local. */
  readonly dynamoDB: string;
}

export async function byHand(target: SideTarget): Promise<Side> {
  const tables = await createTablesByHand(target.client);
  return {
    name: "by hand",
    deploy: (options) => {
      const services = servicesOf(target, tables, options);
      return deployByHand(target, tables, services, options, {
        connect: createConnect(services, options.auth),
        disconnect: createDisconnect(services),
        router: createRouter(services),
      });
    },
  };
}

export async function oldPattern(target: SideTarget): Promise<Side> {
  const tables = await createTablesByHand(target.client);
  return {
    name: "old pattern",
    deploy: (options) => {
      const services = servicesOf(target, tables, options);
      const { auth, endpoint } = options;
      const handler = createOldApp({ services, auth, endpoint }).start();
      return deployByHand(target, tables, services, options, {
        connect: handler,
        disconnect: handler,
        router: handler,
      });
    },
  };
}

type TablesByHand = { readonly connectionTable: string; readonly requestTable: string };

async function createTablesByHand(client: DynamoDBClient): Promise<TablesByHand> {
  const tables = { connectionTable: `hand-${randomUUID()}`, requestTable: `hand-${randomUUID()}` };
  for (const [TableName, definition] of [
    [tables.connectionTable, CONNECTION_TABLE],
    [tables.requestTable, REQUEST_TABLE],
  ] as const) {
    await client.send(new CreateTableCommand({ TableName, ...definition }));
    await waitUntilTableExists({ client, maxWaitTime: 60, minDelay: 1 }, { TableName });
  }
  return tables;
}

function servicesOf({ client }: SideTarget, tables: TablesByHand, { endpoint }: DeployOptions): Services {
  return createServices({ client, ...tables, endpoint, log: () => {} });
}

async function deployByHand(
  { client, dynamoDB }: SideTarget,
  { connectionTable, requestTable }: TablesByHand,
  services: Services,
  { makeReport, timeoutMs, attempts }: DeployOptions,
  // biome-ignore lint/suspicious/noExplicitAny: the handlers take the event types of aws-lambda
  handlers: { readonly [Name in "connect" | "disconnect" | "router"]: (event: any) => unknown },
): Promise<Deployment> {
  const process = createProcessor(services, { makeReport, timeoutMs, attempts, leaseMs: timeoutMs + MINUTE });
  const stream = await readStream(dynamoDB, requestTable, {}, (event) => process(event as never));
  return {
    ...handlers,
    listConnections: () => listKeys(client, connectionTable),
    ...stream,
  };
}

export async function lift(target: SideTarget): Promise<Side> {
  const { client, dynamoDB } = target;
  const name = `lift-${randomUUID()}`;
  const tables = {
    messageTableName: `${name}-messages`,
    memberTableName: `${name}-members`,
    requestTableName: `${name}-requests`,
  };
  await createTables({ client, tableName: name, ...tables });
  return {
    name: "Lift",
    deploy: async ({ auth, endpoint, makeReport, timeoutMs, attempts, tickMs = TICK_MS }) => {
      const reports = createReports({
        auth: { jwt: { algorithms: ["HS256"], ...auth } },
        connectionStore: dynamoDBConnectionStore({ tableName: name, client, timeoutMs: MINUTE }),
        store: dynamoDBChannelStore({ ...tables, client, timeoutMs: MINUTE }),
        connections: connectionsAt(endpoint),
        logger: jsonLogger({ level: "silent" }),
        makeReport,
        requests: { workers: 0 },
        limits: { timeoutMs, retry: { attempts, firstMs: 0 } },
      });
      const handler = reports.app.webSocketHandler();
      const work = reports.workerHandler({ invoke: () => {} });
      const running = new Set<Promise<void>>();
      const invoke = (event: Parameters<typeof work>[0]) => {
        const done: Promise<void> = work(event, longContext()).finally(() => running.delete(done));
        running.add(done);
      };
      const dispatch = reports.dispatchHandler({ invoke });
      const { batchWindowSeconds: _, maxRecordAgeSeconds: __, ...source } = REQUEST_TABLE_STREAM_SOURCE;
      const stream = await readStream(dynamoDB, tables.requestTableName, source, (event) =>
        dispatch(event, longContext()),
      );
      const schedule = repeat(() => dispatch({}, longContext()), tickMs);
      return {
        connect: handler,
        disconnect: handler,
        router: handler,
        listConnections: () => listKeys(client, name),
        redeliver: async () => {
          await stream.redeliver();
          await Promise.all(running);
        },
        stop: async () => {
          await schedule.stop();
          await stream.stop();
          await Promise.all(running);
        },
      };
    },
  };
}

export function connectionsAt(endpoint: string): Connections {
  return awsConnections({ endpoint, ...LOCAL, timeoutMs: 30_000 });
}

const longContext = () => lambdaContext({ getRemainingTimeInMillis: () => 15 * MINUTE });

async function readStream(
  endpoint: string,
  tableName: string,
  source: Partial<Parameters<typeof pollTableStream>[0]>,
  handler: (event: TableStreamEvent) => unknown,
) {
  const delivered: TableStreamEvent[] = [];
  const poller = await pollTableStream({
    reportBatchItemFailures: true,
    ...source,
    ...LOCAL,
    endpoint,
    tableName,
    pollMs: 20,
    handler: (event) => {
      delivered.push(event);
      return handler(event);
    },
  });
  return {
    redeliver: async () => {
      for (const event of [...delivered]) await handler(event);
    },
    stop: () => poller.stop(),
  };
}

/** Calls `run` again and again, one call at a time. */
function repeat(run: () => Promise<unknown>, ms: number): { stop: () => Promise<void> } {
  let last: Promise<unknown> = Promise.resolve();
  let isRunning = false;
  const timer = setInterval(() => {
    if (isRunning) return;
    isRunning = true;
    last = run().finally(() => {
      isRunning = false;
    });
  }, ms);
  return {
    stop: async () => {
      clearInterval(timer);
      await last;
    },
  };
}

async function listKeys(client: DynamoDBClient, tableName: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { Items = [] } of paginateScan(
    { client },
    { TableName: tableName, ConsistentRead: true },
  )) {
    for (const { ConnectionID, UserID } of Items) if (UserID !== undefined) ids.push(ConnectionID?.S ?? "");
  }
  return ids;
}
