import { resolve } from "node:path";
import { CfnOutput, Duration, RemovalPolicy } from "aws-cdk-lib";
import * as dynamodb from "aws-cdk-lib/aws-dynamodb";
import * as events from "aws-cdk-lib/aws-events";
import * as targets from "aws-cdk-lib/aws-events-targets";
import * as iam from "aws-cdk-lib/aws-iam";
import * as lambda from "aws-cdk-lib/aws-lambda";
import { DynamoEventSource, SqsDlq } from "aws-cdk-lib/aws-lambda-event-sources";
import * as s3 from "aws-cdk-lib/aws-s3";
import * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import {
  CONNECTION_TABLE,
  MEMBER_TABLE,
  MESSAGE_TABLE,
  MESSAGE_TABLE_STREAM_SOURCE,
  REQUEST_TABLE,
  REQUEST_TABLE_STREAM_SOURCE,
  SCHEDULE_TABLE,
} from "../store/dynamodb/tables.ts";
import { acknowledge, acknowledgeWildcard } from "./acknowledge.ts";
import { type FunctionSettings, LiftFunction } from "./lift-function.ts";
import { type MonitoringProps, StreamerMonitoring } from "./monitoring.ts";
import { createTable } from "./table.ts";
import { type ApiSettings, LiftWebSocketApi } from "./web-socket-api.ts";

/** The functions of a {@link Streamer}. `fanout`, `dispatch`, `worker` and `tick` work in the background. */
export type StreamerFunction =
  | "connect"
  | "disconnect"
  | "router"
  | "fanout"
  | "dispatch"
  | "worker"
  | "tick";

/** Settings that all functions share. Time limits and numbers of processes are settings of single functions. */
type CommonSettings = Omit<
  FunctionSettings,
  "timeout" | "reservedConcurrentExecutions" | "provisionedConcurrentExecutions"
>;

/** Settings of a {@link Streamer}. `entry` is required. */
export interface StreamerProps extends ApiSettings, CommonSettings {
  /** A module that exports `streamer`, whose stores are those of `dynamoDBStores()`. Relative to the working directory. */
  readonly entry: string;
  /**
   * A module that exports `handler`, for `$connect` alone: without channels its bundle is smaller and starts sooner. Default:
   * `entry`'s streamer.
   */
  readonly connectEntry?: string;
  /** How many requests run at a time, in all and per tenant. Default 100 and 10. */
  readonly requestLimits?: { readonly all: number; readonly tenant: number };
  /** Settings of single functions, in place of those above. */
  readonly functions?: { readonly [Name in StreamerFunction]?: FunctionSettings };
  /** Creates a bucket for `s3BlobStore`, named in `BLOB_BUCKET`. `true` for no `origins` and no `expiration`. Default `false`. */
  readonly blobs?: boolean | BlobBucketProps;
  /** Units that each table and index is ready for at once. Default: DynamoDB's own for new tables. */
  readonly warmThroughput?: dynamodb.WarmThroughput;
  /** Default: the key of DynamoDB, which costs nothing. */
  readonly encryption?: dynamodb.TableEncryption;
  /** Whether tables, bucket and logs are deleted with the stack. Default `RETAIN`, with deletion protection of the tables. */
  readonly removalPolicy?: RemovalPolicy;
  /** Alarms and a dashboard. `false` for none. */
  readonly monitoring?: MonitoringProps | false;
}

/** Settings of the bucket for blobs. */
export interface BlobBucketProps {
  /** Origins of the pages that upload and download, such as `https://chat.example.com`. Default none. */
  readonly origins?: readonly string[];
  /** Age at which S3 deletes a blob, in whole days. Default: never. */
  readonly expiration?: Duration;
}

/** The tables, by name. */
const TABLES = {
  connections: CONNECTION_TABLE,
  schedule: SCHEDULE_TABLE,
  messages: MESSAGE_TABLE,
  members: MEMBER_TABLE,
  requests: REQUEST_TABLE,
};
type TableName = keyof typeof TABLES;

/** Lambda's limit. A request that takes longer is handed over to another invocation. */
const WORKER_TIMEOUT = Duration.minutes(15);
/** A run of the fan-out waits for the grace period, and sends a page. */
const STREAM_TIMEOUT = Duration.minutes(1);

/**
 * A deployed Streamer: a WebSocket API, its functions with a role each, the tables, streams, schedules, alarms and a dashboard.
 * @example
 * new Streamer(this, "Chat", { entry: "src/app.ts" });
 */
export class Streamer extends Construct {
  /** The API with its stage. */
  readonly api: LiftWebSocketApi;
  /** The functions, by name. */
  readonly functions: { readonly [Name in StreamerFunction]: LiftFunction };
  /** The tables, by name. */
  readonly tables: { readonly [Name in TableName]: dynamodb.Table };
  /** The bucket, if `blobs` is set. */
  readonly blobs: s3.Bucket | undefined;
  /** Where records of the streams go that a function has failed to handle. */
  readonly deadLetters: sqs.Queue;
  /** The alarms and the dashboard, unless `monitoring` is `false`. */
  readonly monitoring: StreamerMonitoring | undefined;

  constructor(scope: Construct, id: string, props: StreamerProps) {
    super(scope, id);
    this.tables = this.#createTables(props);
    this.blobs = props.blobs ? this.#createBucket(props) : undefined;
    this.functions = this.#createFunctions(props);
    this.deadLetters = new sqs.Queue(this, "DeadLetters", {
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    acknowledge(this.deadLetters, "AwsSolutions-SQS3", "It is the dead-letter queue of the table streams.");
    const { connect, disconnect, router, fanout, dispatch, tick } = this.functions;
    const { entry: _, ...settings } = props;
    this.api = new LiftWebSocketApi(this, "Api", {
      ...settings,
      routes: { $connect: connect.target, $disconnect: disconnect.target, $default: router.target },
    });
    this.#grant();
    this.#readStream(this.tables.messages, MESSAGE_TABLE_STREAM_SOURCE, fanout);
    this.#readStream(this.tables.requests, REQUEST_TABLE_STREAM_SOURCE, dispatch);
    for (const each of [tick, dispatch]) this.#callEveryMinute(each);
    this.monitoring =
      props.monitoring === false
        ? undefined
        : new StreamerMonitoring(this, "Monitoring", this, props.monitoring);
    new CfnOutput(this, "Url", { value: this.api.url });
  }

  #createTables(props: StreamerProps): Streamer["tables"] {
    const { removalPolicy = RemovalPolicy.RETAIN, encryption = dynamodb.TableEncryption.DEFAULT } = props;
    const deletionProtection = removalPolicy === RemovalPolicy.RETAIN;
    const settings = { removalPolicy, deletionProtection, encryption, warmThroughput: props.warmThroughput };
    const tables = Object.entries(TABLES).map(([name, definition]) => [
      name,
      createTable(this, toId(name), definition, settings),
    ]);
    return Object.fromEntries(tables);
  }

  #createBucket({ blobs, removalPolicy = RemovalPolicy.RETAIN }: StreamerProps): s3.Bucket {
    const { origins = [], expiration }: BlobBucketProps = typeof blobs === "object" ? blobs : {};
    const bucket = new s3.Bucket(this, "Blobs", {
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      encryption: s3.BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      removalPolicy,
      // An upload that was never finished costs money and is in no list.
      lifecycleRules: [
        { abortIncompleteMultipartUploadAfter: Duration.days(1), ...(expiration && { expiration }) },
      ],
      ...(origins.length > 0 && {
        cors: [
          {
            allowedOrigins: [...origins],
            allowedMethods: [s3.HttpMethods.PUT, s3.HttpMethods.GET],
            allowedHeaders: ["content-type"],
            maxAge: 600,
          },
        ],
      }),
    });
    acknowledge(
      bucket,
      "AwsSolutions-S1",
      "Clients use URLs signed by the functions, whose log has each of them.",
    );
    return bucket;
  }

  #createFunctions(props: StreamerProps): Streamer["functions"] {
    const entry = JSON.stringify(resolve(props.entry));
    const limits = JSON.stringify(props.requestLimits ?? { all: 100, tenant: 10 });
    const streamer = `import { streamer } from ${entry};\n`;
    const webSocket = `${streamer}export const handler = streamer.app.webSocketHandler();`;
    // The worker cannot be named in its own environment, but Lambda tells it its name.
    const workers = `import { lambdaInvoker } from "lift-ws";
${streamer}const { WORKER_FUNCTION: functionName = process.env.AWS_LAMBDA_FUNCTION_NAME } = process.env;
const workers = { invoke: lambdaInvoker({ functionName }), limits: ${limits} };
`;
    const connect =
      props.connectEntry === undefined
        ? webSocket
        : `export { handler } from ${JSON.stringify(resolve(props.connectEntry))};`;
    const create = (name: StreamerFunction, code: string, timeout?: Duration) =>
      new LiftFunction(this, toId(name), {
        ...props,
        ...(timeout && { timeout }),
        ...props.functions?.[name],
        code,
        environment: {
          ...this.#environment(),
          ...props.environment,
          ...props.functions?.[name]?.environment,
        },
      });
    const worker = create(
      "worker",
      `${workers}export const handler = streamer.workerHandler(workers);`,
      WORKER_TIMEOUT,
    );
    const functions = {
      connect: create("connect", connect),
      disconnect: create("disconnect", webSocket),
      router: create("router", webSocket),
      fanout: create("fanout", `${streamer}export const handler = streamer.fanOutHandler();`, STREAM_TIMEOUT),
      dispatch: create(
        "dispatch",
        `${workers}export const handler = streamer.dispatchHandler(workers);`,
        STREAM_TIMEOUT,
      ),
      worker,
      tick: create("tick", `${streamer}export const handler = streamer.app.tickHandler();`, STREAM_TIMEOUT),
    };
    functions.dispatch.function.addEnvironment("WORKER_FUNCTION", worker.function.functionName);
    return functions;
  }

  #environment(): { [name: string]: string } {
    const names = Object.entries(this.tables).map(([name, { tableName }]) => [
      `${name.toUpperCase()}_TABLE`,
      tableName,
    ]);
    return { ...Object.fromEntries(names), ...(this.blobs && { BLOB_BUCKET: this.blobs.bucketName }) };
  }

  #grant(): void {
    const { connect, disconnect, router, fanout, dispatch, worker, tick } = this.functions;
    this.#allowItems(connect, "connections", "schedule");
    this.#allowItems(fanout, "connections", "messages", "members");
    this.#allowItems(dispatch, "connections", "members", "requests");
    // These run the application's code.
    const all = Object.keys(TABLES) as TableName[];
    for (const each of [disconnect, router, worker, tick]) this.#allowItems(each, ...all);
    this.api.grantConnections(disconnect, router, fanout, dispatch, worker, tick);
    if (this.blobs !== undefined) this.#allowObjects(this.blobs, router, worker);
    // A policy of its own: in the worker's role it would depend on the function, which depends on its role.
    new iam.Policy(this, "InvokeWorker", {
      roles: [dispatch.role, worker.role],
      statements: [
        new iam.PolicyStatement({
          actions: ["lambda:InvokeFunction"],
          resources: [worker.function.functionArn],
        }),
      ],
    });
  }

  #allowItems(reader: LiftFunction, ...names: readonly TableName[]): void {
    for (const name of names) {
      const { tableArn } = this.tables[name];
      const indexes = TABLES[name].indexes.map((index) => `${tableArn}/index/${index.name}`);
      reader.allow(ITEM_ACTIONS, tableArn);
      if (indexes.length > 0) reader.allow(["dynamodb:Query"], ...indexes);
    }
  }

  #allowObjects(bucket: s3.Bucket, ...users: readonly LiftFunction[]): void {
    const objects = bucket.arnForObjects("*");
    const statement = new iam.PolicyStatement({
      actions: ["s3:GetObject", "s3:PutObject"],
      resources: [objects],
    });
    const policy = new iam.Policy(this, "UseBlobs", {
      roles: users.map(({ role }) => role),
      statements: [statement],
    });
    acknowledgeWildcard(policy, objects, "The bucket has only the objects of this Streamer.");
  }

  #readStream(
    table: dynamodb.Table,
    source: typeof MESSAGE_TABLE_STREAM_SOURCE | typeof REQUEST_TABLE_STREAM_SOURCE,
    reader: LiftFunction,
  ): void {
    reader.function.addEventSource(
      new DynamoEventSource(table as dynamodb.ITable, {
        startingPosition: lambda.StartingPosition[source.startingPosition],
        batchSize: source.batchSize,
        maxBatchingWindow: Duration.seconds(source.batchWindowSeconds),
        maxRecordAge: Duration.seconds(source.maxRecordAgeSeconds),
        bisectBatchOnError: source.bisectOnError,
        reportBatchItemFailures: source.reportBatchItemFailures,
        filters: [{ pattern: JSON.stringify(source.filter) }],
        onFailure: new SqsDlq(this.deadLetters),
      }),
    );
    const reason = "`dynamodb:ListStreams`, which an event source needs, accepts no narrower resource.";
    acknowledgeWildcard(reader.role, "*", reason);
  }

  #callEveryMinute(scheduled: LiftFunction): void {
    new events.Rule(scheduled, "EveryMinute", {
      schedule: events.Schedule.rate(Duration.minutes(1)),
      // A run that has failed is repeated by the next minute's.
      targets: [new targets.LambdaFunction(scheduled.function, { retryAttempts: 0 })],
    });
  }
}

/** Actions of the stores on items. None of them deletes or describes tables, and none is given a wildcard. */
const ITEM_ACTIONS = [
  "dynamodb:BatchGetItem",
  "dynamodb:ConditionCheckItem",
  "dynamodb:DeleteItem",
  "dynamodb:GetItem",
  "dynamodb:PutItem",
  "dynamodb:Query",
  "dynamodb:UpdateItem",
];

function toId(name: string): string {
  return `${name[0]!.toUpperCase()}${name.slice(1)}`;
}
