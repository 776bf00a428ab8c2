import type * as Sdk from "@aws-sdk/client-apigatewaymanagementapi";
import {
  type BroadcastResult,
  type ConnectionInfo,
  type Connections,
  ConnectionsError,
  type ConnectionsErrorCode,
  type Data,
  MAX_MESSAGE_BYTES,
  type PostOptions,
  type PostOutcome,
} from "../apigw/index.ts";
import { LiftError } from "./errors.ts";

export interface AwsConnectionsOptions {
  /** `https://{api}.execute-api.{region}.amazonaws.com/{stage}`, or a custom domain with its base path. */
  readonly endpoint: string;
  /** Default: `AWS_REGION`, else the endpoint's. */
  readonly region?: string;
  /** Posts of one broadcast under way at a time. Default 64; minimum 1. */
  readonly concurrency?: number;
}

const DEFAULT_CONCURRENCY = 64;

/** `https://abc.execute-api.eu-west-1.amazonaws.com/prod` */
const REGION_IN_ENDPOINT = /\.execute-api\.([a-z0-9-]+)\.amazonaws\./;

const CODES: { readonly [exception: string]: ConnectionsErrorCode } = {
  BadRequestException: "BAD_REQUEST",
  ForbiddenException: "FORBIDDEN",
  LimitExceededException: "LIMIT_EXCEEDED",
  PayloadTooLargeException: "PAYLOAD_TOO_LARGE",
};

const kept = new Map<string, Connections>();

/**
 * The connections behind an event's endpoint: one client each, kept across invocations.
 * `AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI` takes the endpoint's place.
 */
export function awsConnectionsAt(endpoint: string): Connections {
  let connections = kept.get(endpoint);
  if (connections === undefined) {
    // The SDK reads the variable only when the code names no endpoint.
    const redirected = process.env.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI !== undefined;
    connections = new AwsConnections({ endpoint }, redirected);
    kept.set(endpoint, connections);
  }
  return connections;
}

/**
 * @connections through the AWS SDK, at an endpoint of your own choice: for a custom domain whose base path is
 * not the stage, and for code that runs outside of an event. The SDK is an optional peer dependency.
 * @throws {LiftError} INVALID_OPTION
 */
export function awsConnections(options: AwsConnectionsOptions): Connections {
  const { endpoint, concurrency = DEFAULT_CONCURRENCY } = options;
  if (!URL.canParse(endpoint) || !Number.isInteger(concurrency) || concurrency < 1) {
    throw new LiftError("INVALID_OPTION", { message: "endpoint is a URL, concurrency an integer from 1" });
  }
  return new AwsConnections(options, false);
}

class AwsConnections implements Connections {
  readonly #options: AwsConnectionsOptions;
  readonly #redirected: boolean;
  #loading: Promise<{ sdk: typeof Sdk; client: Sdk.ApiGatewayManagementApiClient }> | undefined;

  constructor(options: AwsConnectionsOptions, redirected: boolean) {
    this.#options = options;
    this.#redirected = redirected;
  }

  async post(connectionId: string, data: Data, options: PostOptions = {}): Promise<PostOutcome> {
    const bytes = checkSize(data);
    const { sdk, client } = await this.#load();
    const command = new sdk.PostToConnectionCommand({ ConnectionId: connectionId, Data: bytes });
    const sent = await orGone(client.send(command, abortable(options)), options);
    return sent === undefined ? "gone" : "sent";
  }

  async broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: Data,
    options: PostOptions = {},
  ): Promise<BroadcastResult[]> {
    const bytes = checkSize(data);
    options.signal?.throwIfAborted();
    const results: BroadcastResult[] = [];
    const waiting = new Set<Promise<void>>();
    const { concurrency = DEFAULT_CONCURRENCY } = this.#options;
    for await (const connectionId of ids) {
      const index = results.push({ connectionId, outcome: "gone" }) - 1;
      const posting: Promise<void> = this.#postOne(connectionId, bytes, options).then((result) => {
        results[index] = result;
        waiting.delete(posting);
      });
      waiting.add(posting);
      if (waiting.size >= concurrency) await Promise.race(waiting);
    }
    await Promise.all(waiting);
    return results;
  }

  async get(connectionId: string, options: PostOptions = {}): Promise<ConnectionInfo | undefined> {
    const { sdk, client } = await this.#load();
    const command = new sdk.GetConnectionCommand({ ConnectionId: connectionId });
    const info = await orGone(client.send(command, abortable(options)), options);
    if (info === undefined) return undefined;
    const userAgent = info.Identity?.UserAgent;
    return {
      connectedAt: info.ConnectedAt?.getTime() ?? 0,
      lastActiveAt: info.LastActiveAt?.getTime() ?? 0,
      identity: {
        sourceIp: info.Identity?.SourceIp ?? "",
        ...(userAgent === undefined ? {} : { userAgent }),
      },
    };
  }

  async disconnect(connectionId: string, options: PostOptions = {}): Promise<boolean> {
    const { sdk, client } = await this.#load();
    const command = new sdk.DeleteConnectionCommand({ ConnectionId: connectionId });
    return (await orGone(client.send(command, abortable(options)), options)) !== undefined;
  }

  async #postOne(connectionId: string, bytes: Uint8Array, options: PostOptions): Promise<BroadcastResult> {
    try {
      return { connectionId, outcome: await this.post(connectionId, bytes, options) };
    } catch (thrown) {
      const error =
        thrown instanceof ConnectionsError
          ? thrown
          : new ConnectionsError("UNAVAILABLE", "The message was not sent", { cause: thrown });
      return { connectionId, outcome: "failed", error };
    }
  }

  #load() {
    this.#loading ??= this.#connect();
    return this.#loading;
  }

  async #connect() {
    const sdk = await importSdk();
    const { endpoint, region } = this.#options;
    const found = region ?? process.env.AWS_REGION ?? REGION_IN_ENDPOINT.exec(endpoint)?.[1];
    const client = new sdk.ApiGatewayManagementApiClient({
      ...(found === undefined ? {} : { region: found }),
      ...(this.#redirected ? {} : { endpoint }),
    });
    return { sdk, client };
  }
}

/** @throws {LiftError} SDK_MISSING */
async function importSdk(): Promise<typeof Sdk> {
  try {
    return await import("@aws-sdk/client-apigatewaymanagementapi");
  } catch (cause) {
    throw new LiftError("SDK_MISSING", { cause });
  }
}

function abortable({ signal }: PostOptions): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

function checkSize(data: Data): Uint8Array {
  const bytes = typeof data === "string" ? Buffer.from(data) : data;
  if (bytes.byteLength <= MAX_MESSAGE_BYTES) return bytes;
  throw new ConnectionsError(
    "PAYLOAD_TOO_LARGE",
    `${bytes.byteLength} bytes; at most ${MAX_MESSAGE_BYTES} can be sent`,
  );
}

/** The SDK's answer, or `undefined` for its GoneException; its other exceptions by our codes. */
async function orGone<Output>(call: Promise<Output>, { signal }: PostOptions): Promise<Output | undefined> {
  try {
    return await call;
  } catch (thrown) {
    signal?.throwIfAborted();
    const name = thrown instanceof Error ? thrown.name : "";
    if (name === "GoneException") return undefined;
    const code = Object.hasOwn(CODES, name) ? CODES[name] : undefined;
    throw new ConnectionsError(code ?? "UNAVAILABLE", `@connections answered ${name}`, { cause: thrown });
  }
}
