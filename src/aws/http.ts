import { hash } from "node:crypto";
import type { IncomingMessage, RequestOptions } from "node:http";
import {
  AwsConfigurationError,
  type AwsCredentials,
  type AwsCredentialsProvider,
  CredentialsSource,
} from "./credentials.ts";
import { Signer } from "./sign.ts";

// An import of `node:http` brings all of its exports, and with WebSocket all of undici: 25 ms of a cold start.
const { Agent: HttpAgent, request: httpRequest } = process.getBuiltinModule("node:http");
const { Agent: HttpsAgent, request: httpsRequest } = process.getBuiltinModule("node:https");

export interface AwsEndpointOptions {
  readonly endpoint: string;
  /** As signatures spell it: `execute-api`, `dynamodb`. */
  readonly service: string;
  /** Default: the one that the endpoint names, else `AWS_REGION`. */
  readonly region?: string | undefined;
  /** Default: those that Lambda sets in a function's environment. */
  readonly credentials?: AwsCredentials | AwsCredentialsProvider | undefined;
  /** Requests under way at a time; more wait for a free socket. */
  readonly maxSockets: number;
}

export interface AwsRequest {
  readonly method: string;
  /** Below the endpoint, from its slash on, percent-encoded. */
  readonly path: string;
  /** To be signed; names in small letters. */
  readonly headers?: { readonly [name: string]: string };
  readonly payload?: Payload;
  readonly signal: AbortSignal;
}

/** What is sent; one that is sent to many is hashed once. Text stays text: Node writes it together with the head. */
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

const NOTHING = new Payload("");

type Members = { readonly [member: string]: unknown };

/** An answer that is not 2xx. As with the SDK's exceptions, `name` is the service's. */
export class AwsServiceError extends Error {
  readonly $metadata: { readonly httpStatusCode: number };
  /** Out of sight of whoever writes the error's fields to a log. */
  readonly #members: Members;

  constructor(status: number, name: string, members: Members) {
    const said = members.message ?? members.Message;
    // A signature that does not match is explained by the whole request, session token included.
    const told = typeof said === "string" && !name.includes("Signature") ? `: ${said}` : "";
    super(`${name} (${status})${told}`);
    this.name = name;
    this.#members = members;
    this.$metadata = { httpStatusCode: status };
  }

  /** What else the answer says under a name. */
  getField(name: string): unknown {
    return this.#members[name];
  }
}

/** `abc.execute-api.eu-west-1.amazonaws.com`, `dynamodb.us-gov-west-1.api.aws`, `….us-east-1.vpce.amazonaws.com` */
const REGION_IN_HOST = /\.([a-z]{2,}(?:-[a-z]+)+-\d)\.(?:vpce\.)?(?:amazonaws|api\.aws)\b/;

/** The region of an endpoint of AWS; `undefined` for a domain of one's own. */
export function parseRegion(endpoint: string): string | undefined {
  return REGION_IN_HOST.exec(new URL(endpoint).hostname)?.[1];
}

/** Signed requests to one endpoint, over connections that are kept. One attempt each. */
export class AwsEndpoint {
  readonly #request: typeof httpRequest;
  readonly #target: RequestOptions;
  readonly #host: string;
  readonly #basePath: string;
  readonly #signer: Signer;
  readonly #credentials: CredentialsSource;

  /** @throws {AwsConfigurationError} nobody says for which region to sign */
  constructor({ endpoint, service, region, credentials, maxSockets }: AwsEndpointOptions) {
    const { protocol, hostname, port, host, pathname } = new URL(endpoint);
    const secure = protocol === "https:";
    const signedFor = region ?? parseRegion(endpoint) ?? process.env.AWS_REGION;
    if (signedFor === undefined) {
      throw new AwsConfigurationError(
        `The region of ${endpoint} is not known: set AWS_REGION, or the option`,
      );
    }
    const agentOptions = { keepAlive: true, maxSockets };
    this.#request = secure ? httpsRequest : httpRequest;
    this.#target = {
      // URLs write IPv6 in brackets, sockets do not.
      host: hostname.replace(/^\[|\]$/g, ""),
      ...(port === "" ? {} : { port }),
      agent: secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions),
    };
    this.#host = host;
    this.#basePath = pathname.replace(/\/$/, "");
    this.#signer = new Signer({ service, region: signedFor });
    this.#credentials = new CredentialsSource(credentials);
  }

  /**
   * The body of a 2xx.
   * @throws {AwsServiceError} any other status
   * @throws {AwsConfigurationError} no credentials
   * @throws what the signal fired with
   */
  async send({ method, path, headers = {}, payload = NOTHING, signal }: AwsRequest): Promise<string> {
    const found = this.#credentials.get();
    const credentials = found instanceof Promise ? await found : found;
    // Their provider may have taken all the time: nothing is sent after its caller was told that there is no answer.
    signal.throwIfAborted();
    const whole = this.#basePath + path;
    const signed = this.#signer.sign(
      { method, path: whole, headers: { ...headers, host: this.#host }, payloadHash: payload.hash },
      credentials,
      Date.now(),
    );
    return this.#exchange({ ...this.#target, method, path: whole, headers: signed }, payload.data, signal);
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
          else reject(serviceError(response, body));
        });
      });
      // By hand: Node's own option for it takes a fifth of the time that a request takes.
      const abort = () => request.destroy(signal.reason as Error);
      signal.addEventListener("abort", abort);
      request.on("error", reject);
      request.end(data);
    });
  }
}

/** REST services name the exception in a header, JSON services in the body; a proxy between names none. */
function serviceError({ statusCode = 0, headers }: IncomingMessage, body: string): AwsServiceError {
  const members = parseObject(body);
  const type = headers["x-amzn-errortype"] ?? members.__type ?? "UnknownError";
  // `com.amazonaws.dynamodb.v20120810#ThrottlingException`, `GoneException:http://…`
  const name = String(type).split(":")[0]!.split("#").at(-1)!;
  return new AwsServiceError(statusCode, name, members);
}

function parseObject(text: string): Members {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
