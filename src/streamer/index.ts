export type { Identity, Rule } from "./access.ts";
export { checkProtocolVersion } from "./connection.ts";
export { createStreamer } from "./create-streamer.ts";
export type {
  FanOutHandler,
  FanOutOptions,
  FanOutReport,
  TableStreamEvent,
} from "./fan-out/fan-out-recovery.ts";
export type { NamespaceDescription, NamespaceOptions } from "./namespaces.ts";
export type {
  CallOptions,
  PublishOptions,
  ResumeOptions,
  StreamerDescription,
  StreamerOptions,
} from "./options.ts";
export type {
  DispatchEvent,
  DispatchHandler,
  DispatchOptions,
  DispatchReport,
} from "./requests/dispatch.ts";
export type {
  Checkpoint,
  RequestContext,
  RequestDescription,
  RequestHandler,
  RequestLimits,
  RequestOptions,
  RequestRetry,
  RequestsOptions,
} from "./requests/options.ts";
export type { RequestOutput } from "./requests/output/writer.ts";
export type { RunLimits, WorkerEvent } from "./requests/starter.ts";
export type {
  OwnedRequest,
  OwnedRequestPage,
  RequestOwner,
  StoredRequests,
} from "./requests/stored-requests.ts";
export type { WorkerHandler, WorkerOptions } from "./requests/worker.ts";
export type { SchemaTypes } from "./schemas.ts";
export type { Streamer } from "./streamer.ts";
