export type {
  ChannelIn,
  ChannelMessage,
  ChannelTypes,
  HistoryResult,
  Json,
  JsonNamespaces,
  JsonRequests,
  LiveStream,
  Namespaces,
  Position,
  PresenceMessage,
  PresenceResult,
  PublishResult,
  RequestInfo,
  RequestSummary,
  Requests,
  RequestsOf,
  RequestTypes,
  ServerTypes,
  TypesOf,
  UserPresence,
} from "../protocol/index.ts";
export { type BlobMethods, blobs } from "./channels/blobs.ts";
export { type Stream, type StreamMethods, streams } from "./channels/live-stream.ts";
export type { Members } from "./channels/members.ts";
export { type PresenceMethods, type PresenceOptions, presence } from "./channels/presence.ts";
export type { SubscribeOptions, Subscription } from "./channels/subscription.ts";
export {
  type Client,
  createClient,
  type HistoryOptions,
} from "./client.ts";
export type { Clock, Timer } from "./clock.ts";
export type { ClientState } from "./connection/client-state.ts";
export type { WebSocketConstructor, WebSocketLike } from "./connection/websocket.ts";
export { ClientError, type ClientErrorCode } from "./errors.ts";
export type { ClientFeature } from "./feature.ts";
export type { CallOptions, Job, Progress, WatchOptions } from "./jobs/job-types.ts";
export { type RequestMethods, type RequestsOptions, requests } from "./jobs/requests.ts";
export type { ClientOptions } from "./options.ts";
export type { PublishOptions } from "./outbox/outbox.ts";
export type { OutboxItem, OutboxStorage } from "./outbox/outbox-storage.ts";
export { outbox } from "./outbox/stored-outbox.ts";
export type { RequestOptions } from "./requests/timeouts.ts";
