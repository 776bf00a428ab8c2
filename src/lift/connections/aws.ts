import {
  type BroadcastOptions,
  type BroadcastReport,
  type ConnectionInfo,
  type Connections,
  ConnectionsError,
  type ConnectionsErrorCode,
  MAX_MESSAGE_BYTES,
  type MessageData,
  type PostOptions,
  type PostOutcome,
  runBroadcast,
  type SendOutcome,
} from "../../apigw/index.ts";
import {
  type AwsCredentials,
  type AwsCredentialsProvider,
  getHttpStatus,
  Payload,
  Retry,
} from "../../aws/index.ts";
import { elapsed } from "../../internal/elapsed.ts";
import { checkOptions, isAtLeast, isFunction } from "../check-options.ts";
import { LiftError } from "../errors.ts";
import { type ConnectionsTransport, httpTransport, type OpenTransport } from "./transport.ts";

export interface AwsConnectionsOptions {
  /** `https://{api}.execute-api.{region}.amazonaws.com/{stage}`, or a custom domain with its base path. */
  readonly endpoint: string;
  /** Default: the one that the endpoint names, else `AWS_REGION`. */
  readonly region?: string;
  /** Default: those that Lambda sets in a function's environment. */
  readonly credentials?: AwsCredentials | AwsCredentialsProvider;
  /** Posts of one broadcast under way at a time, each on a connection of its own. Default 64; minimum 1. */
  readonly concurrency?: number;
  /** ms that a call may take, retries included; less where its caller has less. Default 5,000; minimum 1. */
  readonly timeoutMs?: number;
  /** Default: signed requests over Node's own HTTP. `sdkTransport` of `lift-ws/aws-sdk` goes through the AWS SDK. */
  readonly transport?: OpenTransport;
}

const DEFAULT_CONCURRENCY = 64;
const DEFAULT_TIMEOUT_MS = 5_000;

/** ms of the caller's budget that are left to it for telling of the failure. */
const ANSWER_MS = 300;

const CHECKS: { readonly [name in keyof Required<AwsConnectionsOptions>]: (value: unknown) => boolean } = {
  endpoint: (value) => typeof value === "string" && /^https?:/.test(value) && URL.canParse(value),
  region: (value) => typeof value === "string" && value !== "",
  credentials: (value) => typeof value === "function" || (typeof value === "object" && value !== null),
  concurrency: (value) => Number.isInteger(value) && Number(value) >= 1,
  timeoutMs: isAtLeast(1),
  transport: isFunction,
};

const CODES: { readonly [exception: string]: ConnectionsErrorCode } = {
  BadRequestException: "BAD_REQUEST",
  ForbiddenException: "FORBIDDEN",
  LimitExceededException: "LIMIT_EXCEEDED",
  PayloadTooLargeException: "PAYLOAD_TOO_LARGE",
  // Nothing was sent: there is nothing to sign with.
  AwsConfigurationError: "FORBIDDEN",
  CredentialsProviderError: "FORBIDDEN",
};

/**
 * @connections of API Gateway. Give Lift one for each endpoint, `connections: (endpoint) => awsConnections({ … })`,
 * or a single one: for a custom domain whose base path is not the stage, and for code that runs outside of an event.
 * What is throttled, fails with 5xx or breaks off is sent again, with pauses, until `timeoutMs` or the caller's
 * budget is over; so it may arrive twice.
 * @throws {LiftError} INVALID_OPTION
 */
export function awsConnections(options: AwsConnectionsOptions): Connections {
  checkOptions(options, CHECKS);
  if (options.endpoint === undefined) {
    throw new LiftError("INVALID_OPTION", { message: "Option endpoint is missing" });
  }
  return new AwsConnections(options);
}

class AwsConnections implements Connections {
  readonly #options: AwsConnectionsOptions;
  readonly #concurrency: number;
  readonly #timeoutMs: number;
  #opened: ConnectionsTransport | undefined;

  constructor(options: AwsConnectionsOptions) {
    this.#options = options;
    this.#concurrency = options.concurrency ?? DEFAULT_CONCURRENCY;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  async post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    const payload = toPayload(data);
    const sent = await this.#call(options, (transport, signal) =>
      transport.post(connectionId, payload, signal),
    );
    return sent === GONE ? "gone" : "sent";
  }

  async broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    const payload = toPayload(data);
    const underWay = new Set<Retry>();
    const send = async (id: string): Promise<SendOutcome> => {
      const attempts = new Retry({ deadline: elapsed() + this.#timeoutMs });
      underWay.add(attempts);
      try {
        await attempts.run((signal) => this.#transport().post(id, payload, signal));
        return "sent";
      } catch (error) {
        if (isGone(error)) return "gone";
        return attempts.isCancelled ? undefined : toConnectionsError(error);
      } finally {
        underWay.delete(attempts);
      }
    };
    const cancel = () => {
      for (const attempts of underWay) attempts.cancel();
    };
    return runBroadcast({ concurrency: this.#concurrency, send, cancel }, ids, options);
  }

  async get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined> {
    const info = await this.#call(options, (transport, signal) => transport.get(connectionId, signal));
    return info === GONE ? undefined : info;
  }

  async disconnect(connectionId: string, options?: PostOptions): Promise<boolean> {
    const closed = await this.#call(options, (transport, signal) => transport.delete(connectionId, signal));
    return closed !== GONE;
  }

  async #call<Output>(
    { signal, budget }: PostOptions = {},
    call: (transport: ConnectionsTransport, signal: AbortSignal) => Promise<Output>,
  ): Promise<Output | typeof GONE> {
    signal?.throwIfAborted();
    const left = (budget?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY) - ANSWER_MS;
    const attempts = new Retry({ deadline: elapsed() + Math.min(this.#timeoutMs, left) });
    const cancel = () => attempts.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      return await attempts.run((attemptSignal) => call(this.#transport(), attemptSignal));
    } catch (error) {
      if (isGone(error)) return GONE;
      signal?.throwIfAborted();
      throw toConnectionsError(error);
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** Opened when it is first needed: that reads the environment. */
  #transport(): ConnectionsTransport {
    const { endpoint, region, credentials, transport = httpTransport } = this.#options;
    this.#opened ??= transport({ endpoint, region, credentials, sockets: this.#concurrency });
    return this.#opened;
  }
}

const GONE = Symbol("gone");

function isGone(error: unknown): boolean {
  return getHttpStatus(error) === 410;
}

function toConnectionsError(cause: unknown): ConnectionsError {
  const { name, message } = cause instanceof Error ? cause : { name: "an error", message: "" };
  const code = Object.hasOwn(CODES, name) ? CODES[name] : undefined;
  const explained = name === "AwsConfigurationError" ? message : `@connections answered ${name}`;
  return new ConnectionsError(code ?? "UNAVAILABLE", explained, { cause });
}

function toPayload(data: MessageData): Payload {
  const payload = new Payload(data);
  if (payload.byteLength <= MAX_MESSAGE_BYTES) return payload;
  throw new ConnectionsError(
    "PAYLOAD_TOO_LARGE",
    `${payload.byteLength} bytes; at most ${MAX_MESSAGE_BYTES} can be sent`,
  );
}
