import { hash } from "node:crypto";
import type { IncomingMessage, RequestOptions } from "node:http";
import {
  AwsConfigurationError,
  type AwsCredentials,
  type AwsCredentialsProvider,
  CredentialsCache,
} from "./credentials.ts";
import { Signer } from "./sign.ts";

/**
 * Returns Node's HTTP or HTTPS client for a URL. An import of `node:http` would load all of its exports, and undici with
 * WebSocket: 25 ms of a cold start. `node:https` loads TLS: 5 ms. Call it early if requests will follow: while Lambda
 * starts a function, the function has a whole CPU.
 */
export function loadHttpClient(url: string): Pick<typeof import("node:http"), "Agent" | "request"> {
  return process.getBuiltinModule(url.startsWith("http:") ? "node:http" : "node:https");
}

export interface AwsEndpointOptions {
  /** A URL; its path is prepended to each request's. */
  readonly endpoint: string;
  /** As signatures spell it: `execute-api`, `dynamodb`. */
  readonly service: string;
  /** Default: the region in the endpoint, else `AWS_REGION`. */
  readonly region?: string | undefined;
  /** Default: those that Lambda sets in a function's environment. */
  readonly credentials?: AwsCredentials | AwsCredentialsProvider | undefined;
  /** Maximum number of concurrent requests; others wait for a free socket. */
  readonly maxSockets: number;
}

export interface AwsRequest {
  readonly method: string;
  /** Relative to the endpoint, with a leading slash, percent-encoded. */
  readonly path: string;
  /** Signed headers, with lowercase names. */
  readonly headers?: { readonly [name: string]: string };
  readonly payload?: Payload;
  readonly signal: AbortSignal;
}

/** A request body. It is hashed once, however often it is sent. Text stays text: Node writes it in one piece with the head. */
export class Payload {
  readonly data: string | Uint8Array;
  readonly byteLength: number;
  #hash: string | undefined;

  constructor(data: string | Uint8Array) {
    this.data = data;
    this.byteLength = Buffer.byteLength(data);
  }

  get hash(): string {
    this.#hash ??= hash("sha256", this.data);
    return this.#hash;
  }
}

const EMPTY = new Payload("");

type Fields = { readonly [name: string]: unknown };

/** A response other than 2xx. `name` is the service's exception, as with the SDK. */
export class AwsServiceError extends Error {
  readonly $metadata: { readonly httpStatusCode: number };
  /** Private, so that a logger that writes all fields of an error does not write them. */
  readonly #fields: Fields;

  constructor(status: number, name: string, fields: Fields) {
    const text = fields.message ?? fields.Message;
    // For an invalid signature the service quotes the whole request, session token included.
    const detail = typeof text === "string" && !name.includes("Signature") ? `: ${text}` : "";
    super(`${name} (${status})${detail}`);
    this.name = name;
    this.#fields = fields;
    this.$metadata = { httpStatusCode: status };
  }

  /** Returns another field of the response body. */
  getField(name: string): unknown {
    return this.#fields[name];
  }
}

/** `abc.execute-api.eu-west-1.amazonaws.com`, `dynamodb.us-gov-west-1.api.aws`, `….us-east-1.vpce.amazonaws.com` */
const REGION_IN_HOST = /\.([a-z]{2,}(?:-[a-z]+)+-\d)\.(?:vpce\.)?(?:amazonaws|api\.aws)\b/;

/** Returns the region in an AWS endpoint's host name; `undefined` for a custom domain. */
export function parseRegion(endpoint: string): string | undefined {
  return REGION_IN_HOST.exec(new URL(endpoint).hostname)?.[1];
}

/** Sends signed requests to one endpoint, over connections that are kept alive. It does not retry. */
export class AwsEndpoint {
  readonly #request: ReturnType<typeof loadHttpClient>["request"];
  readonly #target: RequestOptions;
  readonly #host: string;
  readonly #basePath: string;
  readonly #signer: Signer;
  readonly #credentials: CredentialsCache;

  /** @throws {AwsConfigurationError} when the region is unknown */
  constructor({ endpoint, service, region, credentials, maxSockets }: AwsEndpointOptions) {
    const { hostname, port, host, pathname, href } = new URL(endpoint);
    const { Agent, request } = loadHttpClient(href);
    const signingRegion = region ?? parseRegion(endpoint) ?? process.env.AWS_REGION;
    if (signingRegion === undefined) {
      throw new AwsConfigurationError(
        `Unknown AWS region of ${endpoint}; set \`AWS_REGION\` or the option \`region\``,
      );
    }
    this.#request = request;
    this.#target = {
      // A URL has IPv6 addresses in brackets, a socket does not.
      host: hostname.replace(/^\[|\]$/g, ""),
      ...(port === "" ? {} : { port }),
      agent: new Agent({ keepAlive: true, maxSockets }),
    };
    this.#host = host;
    this.#basePath = pathname.replace(/\/$/, "");
    this.#signer = new Signer({ service, region: signingRegion });
    this.#credentials = new CredentialsCache(credentials);
  }

  /**
   * Returns the body of a 2xx response.
   * @throws {AwsServiceError} for any other status
   * @throws {AwsConfigurationError} when credentials are missing
   * @throws the signal's reason when it is aborted
   */
  async send({ method, path, headers = {}, payload = EMPTY, signal }: AwsRequest): Promise<string> {
    const available = this.#credentials.get();
    const credentials = available instanceof Promise ? await available : available;
    // The provider may have taken all the time. Nothing may be sent after the caller has been rejected.
    signal.throwIfAborted();
    const fullPath = this.#basePath + path;
    const signed = this.#signer.sign(
      { method, path: fullPath, headers: { ...headers, host: this.#host }, payloadHash: payload.hash },
      credentials,
      Date.now(),
    );
    return this.#exchange({ ...this.#target, method, path: fullPath, headers: signed }, payload.data, signal);
  }

  #exchange(options: RequestOptions, data: string | Uint8Array, signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = this.#request(options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          signal.removeEventListener("abort", abort);
          const { statusCode = 0 } = response;
          const body = chunks.length === 0 ? "" : Buffer.concat(chunks).toString();
          if (statusCode >= 200 && statusCode < 300) resolve(body);
          else reject(toServiceError(response, body));
        });
      });
      // Not Node's `signal` option, which takes a fifth of the time of a request.
      const abort = () => request.destroy(signal.reason as Error);
      signal.addEventListener("abort", abort);
      request.on("error", reject);
      request.end(data);
    });
  }
}

/** REST services send the exception's name in a header, JSON services in the body; a proxy sends none. */
function toServiceError({ statusCode = 0, headers }: IncomingMessage, body: string): AwsServiceError {
  const fields = parseObject(body);
  const type = headers["x-amzn-errortype"] ?? fields.__type ?? "UnknownError";
  // `com.amazonaws.dynamodb.v20120810#ThrottlingException`, `GoneException:http://…`
  const name = String(type).split(":")[0]!.split("#").at(-1)!;
  return new AwsServiceError(statusCode, name, fields);
}

function parseObject(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
