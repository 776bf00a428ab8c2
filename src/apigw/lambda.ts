import type { AuthorizerEvent, WebSocketEvent } from "./events.ts";

/** The second argument of a Lambda handler, as the Node runtimes give it. */
export interface LambdaContext {
  callbackWaitsForEmptyEventLoop: boolean;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  /** ms until the function is stopped. */
  getRemainingTimeInMillis(): number;
}

/** The third argument of a handler: ends an invocation in older runtimes. The Node 24 runtime has none. */
export type LambdaCallback = (error?: Error | string | null, result?: unknown) => void;

/** Any Lambda behind a WebSocket API. Callers check its result. */
export type LambdaHandler<Event = WebSocketEvent> = (
  event: Event,
  context: LambdaContext,
  callback: LambdaCallback,
) => unknown;

export type LambdaAuthorizer = LambdaHandler<AuthorizerEvent>;
