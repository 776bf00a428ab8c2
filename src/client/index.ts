export type {
  ChannelIn,
  ChannelMessage,
  ChannelTypes,
  HistoryResult,
  Json,
  JsonNamespaces,
  LiveStream,
  Namespaces,
  Position,
  PresenceMessage,
  PresenceResult,
  PublishResult,
  ServerTypes,
  TypesOf,
  UserPresence,
} from "../protocol/index.ts";
export {
  type Client,
  createClient,
  type HistoryOptions,
  type PresenceOptions,
  type RequestPatience,
} from "./client.ts";
export type { Clock, Timer } from "./clock.ts";
export { ClientError, type ClientErrorCode } from "./errors.ts";
export type { Members } from "./members.ts";
export type { ClientOptions } from "./options.ts";
export type { PublishOptions } from "./outbox.ts";
export type { OutboxItem, OutboxStorage } from "./outbox-storage.ts";
export type { WebSocketConstructor, WebSocketLike } from "./session.ts";
export type { ClientState } from "./state.ts";
export type { Stream } from "./stream.ts";
export type { SubscribeOptions, Subscription } from "./subscription.ts";
