/** What an integration answers. */
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

/**
 * Whether a handler's answer is one the service accepts. A result without an integer `statusCode`, or whose
 * body is no string, is malformed: 502 on `$connect`, the "Internal server error" frame on a message route.
 */
export function isWebSocketResult(value: unknown): value is WebSocketResult {
  if (typeof value !== "object" || value === null) return false;
  const { statusCode, body } = value as { statusCode?: unknown; body?: unknown };
  return (
    typeof statusCode === "number" &&
    Number.isInteger(statusCode) &&
    statusCode >= FIRST_STATUS &&
    statusCode <= LAST_STATUS &&
    (body === undefined || body === null || typeof body === "string")
  );
}

/** 2xx: the only statuses that open a socket. */
export function isSuccess(statusCode: number): boolean {
  return statusCode >= 200 && statusCode < 300;
}
