export type { BroadcastReport } from "../apigw/index.ts";
export {
  type AppBroadcastOptions,
  type CallHandler,
  type CallRouteOptions,
  type DisconnectOptions,
  type EventMethod,
  type HandlerOptions,
  type IncomingEvent,
  Lift,
  type RouteTypes,
  type SchemaRouteOptions,
  type TickHandler,
  type TickOptions,
  type WebSocketHandler,
} from "./app.ts";
export type { Middleware, Next, Phase } from "./compose.ts";
export { type ConnectHandlerOptions, connectHandler } from "./connect/handler.ts";
export { type AwsConnectionsOptions, awsConnections } from "./connections/aws.ts";
export type { ConnectionsAt } from "./connections/by-endpoint.ts";
export type { ConnectionFilter, DisconnectReport } from "./connections/disconnect-all.ts";
export type { ConnectionsTransport, OpenTransport, TransportTarget } from "./connections/transport.ts";
export type { WebSocketContext } from "./connections/websocket.ts";
export type { AnyContext, AnyState, Context, Outcome, Storable } from "./context.ts";
export { clientError, ERROR_CODES, LiftError, type LiftErrorCode, type LiftErrorOptions } from "./errors.ts";
export { type JsonLoggerOptions, jsonLogger, type LogFields, type Logger, type LogLevel } from "./logger.ts";
export type { MessageAction } from "./message-action.ts";
export type { LiftOptions } from "./options.ts";
export type { Actions, Handler, HandlerResult, RouteOptions } from "./router.ts";
export { type DetachedWork, runDetachedWork } from "./scheduler/detached-work.ts";
export { type LambdaInvokerOptions, lambdaInvoker } from "./scheduler/lambda-invoker.ts";
export type {
  ScheduledAction,
  ScheduledEntry,
  ScheduledOptions,
  ScheduleFailure,
  ScheduleRetry,
  Tick,
  TickReport,
} from "./scheduler/scheduled-action.ts";
export type { ConnectionIdentity, Instruments } from "./settings.ts";
export { validate } from "./validate.ts";
