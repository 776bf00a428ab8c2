/** What a Lambda function URL calls its function with (payload format 2.0), as far as it is used here. */
export interface FunctionUrlEvent {
  readonly version: "2.0";
  readonly rawPath: string;
  /** Without the `?`; empty when there is none. */
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
