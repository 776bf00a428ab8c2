/** The event of a Lambda function URL (payload format 2.0): the fields used here. */
export interface FunctionUrlEvent {
  readonly version: "2.0";
  readonly rawPath: string;
  /** Without the `?`; empty without a query. */
  readonly rawQueryString: string;
  /** Names in lower case; the values of a repeated one joined by commas. */
  readonly headers: { readonly [name: string]: string };
  readonly requestContext: {
    readonly requestId: string;
    readonly http: { readonly method: string; readonly path: string; readonly sourceIp: string };
  };
  /** Absent when the request has none. */
  readonly body?: string;
  readonly isBase64Encoded: boolean;
}

export interface FunctionUrlResult {
  readonly statusCode: number;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: string;
}
