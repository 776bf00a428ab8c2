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
import { anyFunction, atLeast, integer, type OptionChecks, text } from "../../internal/options.ts";
import { checkOptions } from "../errors.ts";
import { type ConnectionsTransport, httpTransport, type OpenTransport } from "./transport.ts";

/** Options of `awsConnections`. */
export interface AwsConnectionsOptions {
  /** URL of the API: `https://{api}.execute-api.{region}.amazonaws.com/{stage}`, or a custom domain with its base path. */
  readonly endpoint: string;
  /** AWS region to sign for. Default: the one in the endpoint, else `AWS_REGION`. */
  readonly region?: string;
  /** Credentials to sign with. Default: those in the function's environment. */
  readonly credentials?: AwsCredentials | AwsCredentialsProvider;
  /** Posts that one broadcast sends at a time, each on its own socket. Default 64; minimum 1. */
  readonly concurrency?: number;
  /** Longest time of a call with its retries, in ms; less when the caller has less. Default 5,000; minimum 1. */
  readonly timeoutMs?: number;
  /** Default: signed requests with Node's own HTTP client. `sdkTransport` of `lift-ws/aws-sdk` uses the AWS SDK. */
  readonly transport?: OpenTransport;
}

const DEFAULT_CONCURRENCY = 64;
const DEFAULT_TIMEOUT_MS = 5_000;

/** Part of the caller's budget that remains for handling an error, in ms. */
const ERROR_MARGIN_MS = 300;

const CHECKS: OptionChecks<AwsConnectionsOptions> = {
  endpoint: {
    test: (value) => typeof value === "string" && /^https?:/.test(value) && URL.canParse(value),
    expected: "an `https:` or `http:` URL",
  },
  region: text,
  credentials: {
    test: (value) => typeof value === "function" || (typeof value === "object" && value !== null),
    expected: "credentials or a function that returns them",
  },
  concurrency: integer(1),
  timeoutMs: atLeast(1),
  transport: anyFunction,
};

const CODES: { readonly [exception: string]: ConnectionsErrorCode } = {
  BadRequestException: "BAD_REQUEST",
  ForbiddenException: "FORBIDDEN",
  LimitExceededException: "LIMIT_EXCEEDED",
  PayloadTooLargeException: "PAYLOAD_TOO_LARGE",
  // Nothing was sent, because there are no credentials to sign with.
  AwsConfigurationError: "FORBIDDEN",
  CredentialsProviderError: "FORBIDDEN",
};

/**
 * Returns the @connections API of API Gateway. Calls that are throttled, fail with 5xx or lose their socket are retried
 * with backoff until `timeoutMs` or the caller's budget ends, so a message may arrive twice.
 *
 * Pass Lift one per endpoint, as in the example. Pass a single one for a custom domain whose base path is not the stage,
 * and for code that runs outside an event.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * const app = new Lift({ connections: (endpoint) => awsConnections({ endpoint, concurrency: 128 }) });
 */
export function awsConnections(options: AwsConnectionsOptions): Connections {
  checkOptions(options, CHECKS, { required: ["endpoint"] });
  return new AwsConnections(options);
}

class AwsConnections implements Connections {
  readonly #options: AwsConnectionsOptions;
  readonly #concurrency: number;
  readonly #timeoutMs: number;
  #openTransport: ConnectionsTransport | undefined;

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
    const running = new Set<Retry>();
    const send = async (id: string): Promise<SendOutcome> => {
      const retry = new Retry({ deadline: elapsed() + this.#timeoutMs });
      running.add(retry);
      try {
        await retry.run((signal) => this.#transport().post(id, payload, signal));
        return "sent";
      } catch (error) {
        if (isGone(error)) return "gone";
        return retry.isCancelled ? undefined : toConnectionsError(error);
      } finally {
        running.delete(retry);
      }
    };
    const cancel = () => {
      for (const retry of running) retry.cancel();
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
    const remaining = (budget?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY) - ERROR_MARGIN_MS;
    const retry = new Retry({ deadline: elapsed() + Math.min(this.#timeoutMs, remaining) });
    const cancel = () => retry.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      return await retry.run((attemptSignal) => call(this.#transport(), attemptSignal));
    } catch (error) {
      if (isGone(error)) return GONE;
      signal?.throwIfAborted();
      throw toConnectionsError(error);
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** Created on first use, because that reads the environment. */
  #transport(): ConnectionsTransport {
    const { endpoint, region, credentials, transport = httpTransport } = this.#options;
    this.#openTransport ??= transport({ endpoint, region, credentials, sockets: this.#concurrency });
    return this.#openTransport;
  }
}

const GONE = Symbol("gone");

function isGone(error: unknown): boolean {
  return getHttpStatus(error) === 410;
}

function toConnectionsError(cause: unknown): ConnectionsError {
  const { name, message } = cause instanceof Error ? cause : { name: "an error", message: "" };
  const code = Object.hasOwn(CODES, name) ? CODES[name] : undefined;
  const description = name === "AwsConfigurationError" ? message : `The @connections API failed with ${name}`;
  return new ConnectionsError(code ?? "UNAVAILABLE", description, { cause });
}

function toPayload(data: MessageData): Payload {
  const payload = new Payload(data);
  if (payload.byteLength <= MAX_MESSAGE_BYTES) return payload;
  throw new ConnectionsError(
    "PAYLOAD_TOO_LARGE",
    `The message has ${payload.byteLength} bytes; the limit is ${MAX_MESSAGE_BYTES}`,
  );
}
