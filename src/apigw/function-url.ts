/** The event of a Lambda function URL (payload format 2.0): the fields used here. */
export interface FunctionUrlEvent {
  /** The version of the event's format, always `2.0`. */
  readonly version: "2.0";
  /** The path of the request, percent-encoded. */
  readonly rawPath: string;
  /** Without the `?`; empty without a query. */
  readonly rawQueryString: string;
  /** Names in lower case; the values of a repeated one joined by commas. */
  readonly headers: { readonly [name: string]: string };
  /** The request's id, method and path. */
  readonly requestContext: {
    readonly requestId: string;
    readonly http: { readonly method: string; readonly path: string; readonly sourceIp: string };
  };
  /** Absent when the request has none. */
  readonly body?: string;
  /** Whether `body` is encoded as base64. */
  readonly isBase64Encoded: boolean;
}

/** The response of a function URL. */
export interface FunctionUrlResult {
  /** The HTTP status. */
  readonly statusCode: number;
  /** The response's headers. Default: none. */
  readonly headers?: { readonly [name: string]: string };
  /** The response's body. Default: empty. */
  readonly body?: string;
}
