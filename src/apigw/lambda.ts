import type { AuthorizerEvent, WebSocketEvent } from "./events.ts";

/** The second argument of a Lambda handler, as the Node runtimes give it. */
export interface LambdaContext {
  /** Whether a callback's result waits for the event loop to be empty. */
  callbackWaitsForEmptyEventLoop: boolean;
  /** The name of the function. */
  readonly functionName: string;
  /** The version of the function. */
  readonly functionVersion: string;
  /** The ARN by which the function was called. */
  readonly invokedFunctionArn: string;
  /** The function's memory in MB, as text. */
  readonly memoryLimitInMB: string;
  /** The id of the invocation. */
  readonly awsRequestId: string;
  /** The function's log group. */
  readonly logGroupName: string;
  /** The log stream of the function's instance. */
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

/** The handler of a REQUEST authorizer. */
export type LambdaAuthorizer = LambdaHandler<AuthorizerEvent>;
