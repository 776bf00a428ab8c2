/** The result of an integration. A result with any other field is malformed. */
export interface WebSocketResult {
  /** An integer, 100 to 599. On `$connect` it decides: 2xx opens the socket, any other refuses the upgrade. */
  readonly statusCode: number;
  /** Reaches the client only from a message route that has a route response. */
  readonly body?: string;
  /** Only `Sec-WebSocket-Protocol` on `$connect` reaches the client. */
  readonly headers?: { readonly [name: string]: string | number | boolean };
  /** Headers with several values. */
  readonly multiValueHeaders?: { readonly [name: string]: readonly (string | number | boolean)[] };
  /** Whether `body` is encoded as base64. Default false. */
  readonly isBase64Encoded?: boolean;
}

/** One statement of a policy. */
export interface PolicyStatement {
  /** Whether the statement allows or denies. */
  readonly Effect: "Allow" | "Deny";
  /** The actions that it applies to, such as `execute-api:Invoke`. */
  readonly Action: string | readonly string[];
  /** The ARNs that it applies to, with `*` as a wildcard. */
  readonly Resource: string | readonly string[];
}

/** An IAM policy, as an authorizer returns it. */
export interface PolicyDocument {
  /** The version of the policy language, `2012-10-17`. */
  readonly Version?: string;
  /** One statement or several. */
  readonly Statement: PolicyStatement | readonly PolicyStatement[];
}

/** The result of a REQUEST authorizer. At most 8 KB as JSON. */
export interface AuthorizerResult {
  /** The id of the caller, which later events contain. */
  readonly principalId: string;
  /** The policy that decides about the connection. */
  readonly policyDocument: PolicyDocument;
  /** Scalars only; they arrive as strings in every later event of the connection. */
  readonly context?: { readonly [name: string]: string | number | boolean | null };
}

const FIRST_STATUS = 100;
const LAST_STATUS = 599;

const FIELDS: ReadonlySet<string> = new Set([
  "statusCode",
  "body",
  "headers",
  "multiValueHeaders",
  "isBase64Encoded",
]);

/**
 * Parses a handler's result as the service does: as JSON, with a `statusCode` from 100 to 599 and no unknown field.
 * Accepts a numeric string as `statusCode`, as in AWS's own samples.
 * @throws {TypeError} for an invalid result. The service then responds with 502 on `$connect`, and sends the
 * "Internal server error" frame on a message route.
 * @example
 * parseWebSocketResult({ statusCode: "200" }); // { statusCode: 200 }
 */
export function parseWebSocketResult(value: unknown): WebSocketResult {
  if (isPlainResult(value)) return value;
  const result = asJson(value);
  if (typeof result !== "object" || result === null) throw malformed("is not an object");
  const { statusCode, body } = result as { statusCode?: unknown; body?: unknown };
  const status = parseStatusCode(statusCode);
  if (status === undefined) throw malformed("has no `statusCode` from 100 to 599");
  if (body !== undefined && body !== null && typeof body !== "string") {
    throw malformed("has a `body` that is not a string");
  }
  for (const field in result) {
    if (!FIELDS.has(field)) throw malformed(`has the unknown field ${JSON.stringify(field)}`);
  }
  return (status === statusCode ? result : { ...result, statusCode: status }) as WebSocketResult;
}

/**
 * Returns a result's status from a number or a numeric string; `undefined` for anything else.
 * @example
 * parseStatusCode("200"); // 200
 */
export function parseStatusCode(statusCode: unknown): number | undefined {
  const isText = typeof statusCode === "string" && /^\d{3}$/.test(statusCode);
  const status = isText ? Number(statusCode) : statusCode;
  if (typeof status !== "number" || !Number.isInteger(status)) return undefined;
  return status >= FIRST_STATUS && status <= LAST_STATUS ? status : undefined;
}

/** Whether a result is valid and JSON would not change it, as most are. A short check, because every message has a result. */
function isPlainResult(result: unknown): result is WebSocketResult {
  if (typeof result !== "object" || result === null) return false;
  const prototype: unknown = Object.getPrototypeOf(result);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const field in result) {
    if (field !== "statusCode" && field !== "body") return false;
  }
  const { statusCode, body } = result as { statusCode?: unknown; body?: unknown };
  if (typeof statusCode !== "number" || parseStatusCode(statusCode) === undefined) return false;
  return body === undefined || typeof body === "string";
}

function asJson(result: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(result) ?? "null");
  } catch (cause) {
    throw new TypeError("The handler's result can't be written as JSON", { cause });
  }
}

function malformed(fault: string): TypeError {
  return new TypeError(`The handler's result ${fault}`);
}

/**
 * Whether a status is 2xx, the only ones that open a socket.
 * @example
 * isSuccess(204); // true
 */
export function isSuccess(statusCode: number): boolean {
  return statusCode >= 200 && statusCode < 300;
}
