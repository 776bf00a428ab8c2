/** The result of an integration. A result with any other field is malformed. */
export interface WebSocketResult {
  /** An integer, 100 to 599. On `$connect` it decides: 2xx opens the socket, any other refuses the upgrade. */
  readonly statusCode: number;
  /** Reaches the client only from a message route that has a route response. */
  readonly body?: string;
  /** Of these only `Sec-WebSocket-Protocol`, on `$connect`, reaches the client. */
  readonly headers?: { readonly [name: string]: string | number | boolean };
  readonly multiValueHeaders?: { readonly [name: string]: readonly (string | number | boolean)[] };
  readonly isBase64Encoded?: boolean;
}

export interface PolicyStatement {
  readonly Effect: "Allow" | "Deny";
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
}

export interface PolicyDocument {
  readonly Version?: string;
  readonly Statement: PolicyStatement | readonly PolicyStatement[];
}

/** What a REQUEST authorizer answers. At most 8 KB as JSON. */
export interface AuthorizerResult {
  readonly principalId: string;
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
 * Reads a handler's answer as the service does: as JSON, with a `statusCode` from 100 to 599 and no field but a
 * result's. A `statusCode` of numeric text counts as its number, as in AWS's own samples.
 * @throws {TypeError} saying what is wrong. The service then answers 502 on `$connect` and sends the
 * "Internal server error" frame on a message route.
 */
export function parseWebSocketResult(answer: unknown): WebSocketResult {
  const result = isShort(answer) ? answer : asJson(answer);
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

/** The status that a result states, as a number or as numeric text; `undefined` when it states none. */
export function parseStatusCode(statusCode: unknown): number | undefined {
  const isText = typeof statusCode === "string" && /^\d{3}$/.test(statusCode);
  const status = isText ? Number(statusCode) : statusCode;
  if (typeof status !== "number" || !Number.isInteger(status)) return undefined;
  return status >= FIRST_STATUS && status <= LAST_STATUS ? status : undefined;
}

/** Whether JSON would leave the answer as it is. Nearly all answers are of this kind, and every message has one. */
function isShort(answer: unknown): boolean {
  if (typeof answer !== "object" || answer === null) return false;
  const prototype: unknown = Object.getPrototypeOf(answer);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const field in answer) {
    if (field !== "statusCode" && field !== "body") return false;
  }
  const { statusCode, body } = answer as { statusCode?: unknown; body?: unknown };
  return typeof statusCode === "number" && (body === undefined || typeof body === "string");
}

function asJson(answer: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(answer) ?? "null");
  } catch (cause) {
    throw new TypeError("The handler's result can't be written as JSON", { cause });
  }
}

function malformed(fault: string): TypeError {
  return new TypeError(`The handler's result ${fault}`);
}

/** 2xx: the only statuses that open a socket. */
export function isSuccess(statusCode: number): boolean {
  return statusCode >= 200 && statusCode < 300;
}
