import type { Json } from "./json.ts";

/** A place in a channel's history. PROTOCOL.md, "Channels". */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

// Client to server. A request without an `id` is answered under one that the server makes.

export interface ChannelRequest {
  readonly channel: string;
  readonly position?: Position;
  readonly recent?: number;
  readonly state?: Json;
}

export interface SubscribePayload {
  readonly channels: readonly ChannelRequest[];
}

export interface UnsubscribePayload {
  readonly channels: readonly string[];
}

export interface PublishPayload {
  readonly channel: string;
  readonly data: Json;
  readonly key?: string;
  readonly others?: boolean;
}

export interface HistoryPayload {
  readonly channel: string;
  readonly after?: Position;
  readonly before?: number;
  readonly limit?: number;
}

export interface PresencePayload {
  readonly channel: string;
  readonly after?: string;
}

export interface SetPresencePayload {
  readonly channel: string;
  readonly state?: Json;
}

export interface StreamStartPayload {
  readonly channel: string;
  readonly data?: Json;
}

export interface StreamEndPayload {
  readonly channel: string;
}

export interface StreamPayload {
  readonly channel: string;
}

export interface HeartbeatPayload {
  readonly positions?: ReadonlyMap<string, Position>;
}

export interface RefreshPayload {
  readonly token: string;
}

export interface PartPayload {
  readonly message: number;
  readonly index: number;
  readonly count: number;
  readonly text: string;
}

export interface UploadPayload {
  readonly channel: string;
  readonly bytes: number;
  readonly contentType?: string;
}

export interface DownloadPayload {
  readonly channel: string;
  readonly blob: string;
}

/** What the first clients send as `message`. */
export interface LegacyMessage {
  readonly type: "chat" | "presence" | "stream";
  readonly channel: string;
  /** All of `data`. */
  readonly data: { readonly [name: string]: Json };
}

/** What each action carries. */
export interface Payloads {
  readonly subscribe: SubscribePayload;
  readonly unsubscribe: UnsubscribePayload;
  readonly publish: PublishPayload;
  readonly history: HistoryPayload;
  readonly presence: PresencePayload;
  readonly set_presence: SetPresencePayload;
  readonly stream_start: StreamStartPayload;
  readonly stream_end: StreamEndPayload;
  readonly stream: StreamPayload;
  readonly heartbeat: HeartbeatPayload;
  readonly refresh: RefreshPayload;
  readonly upload: UploadPayload;
  readonly download: DownloadPayload;
  readonly part: PartPayload;
  readonly message: LegacyMessage;
}

export type Action = keyof Payloads;

/** A client's message, read: switch on `action`. */
export type Request = {
  [Name in Action]: { readonly action: Name; readonly id?: string; readonly payload: Payloads[Name] };
}[Action];

// Server to client.

export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly retry: boolean;
  readonly details?: Json;
}

export interface ResponseMessage {
  readonly type: "response";
  readonly request_id: string;
  readonly success: true;
  readonly data: { readonly [name: string]: Json };
}

export interface ErrorMessage {
  readonly type: "error";
  readonly request_id?: string;
  readonly error: ErrorBody;
}

export interface ChannelMessage<Data = Json> {
  readonly type: "message";
  readonly id: string;
  readonly channel: string;
  readonly data: Data;
  readonly at: number;
  readonly user?: string;
  readonly position?: Position;
}

export interface PresenceMessage<State = Json> {
  readonly type: "presence";
  readonly id: string;
  readonly channel: string;
  readonly event: "join" | "leave" | "update";
  readonly user: string;
  readonly at: number;
  readonly state?: State;
}

/** Who streams in a channel. */
export interface LiveStream {
  readonly user: string;
  readonly since: number;
  readonly viewers: number;
  readonly data?: Json;
}

export interface StreamStartedMessage {
  readonly type: "stream_started";
  readonly id: string;
  readonly channel: string;
  readonly at: number;
  readonly live: LiveStream;
}

export interface StreamEndedMessage {
  readonly type: "stream_ended";
  readonly id: string;
  readonly channel: string;
  readonly at: number;
  readonly user: string;
  readonly reason: "ended" | "owner_left";
}

export interface ViewersMessage {
  readonly type: "viewers";
  readonly id: string;
  readonly channel: string;
  readonly at: number;
  readonly count: number;
}

/** What a channel's stream has come to. */
export type StreamMessage = StreamStartedMessage | StreamEndedMessage | ViewersMessage;

/** A server's message, read: switch on `type`. */
export type ServerMessage = ResponseMessage | ErrorMessage | ChannelMessage | PresenceMessage | StreamMessage;

// What a `response` carries, by what was asked.

export interface Subscribed {
  readonly channel: string;
  readonly position?: Position;
  readonly recovered?: boolean;
  readonly messages?: readonly ChannelMessage[];
  readonly more?: boolean;
  readonly live?: LiveStream;
}

export interface Refused {
  readonly channel: string;
  readonly error: ErrorBody;
}

export interface SubscribeResult {
  readonly channels: readonly (Subscribed | Refused)[];
}

export interface PublishResult {
  readonly id: string;
  readonly position?: Position;
}

export interface HistoryResult<Data = Json> {
  readonly messages: readonly ChannelMessage<Data>[];
  readonly position: Position;
  readonly recovered?: boolean;
  readonly more: boolean;
}

export interface UserPresence<State = Json> {
  readonly user: string;
  readonly since: number;
  readonly state?: State;
}

export interface PresenceResult<State = Json> {
  readonly users: readonly UserPresence<State>[];
  readonly more: boolean;
}

export interface StreamStartResult {
  readonly live: LiveStream;
}

export interface StreamResult {
  readonly live?: LiveStream;
}

export interface HeartbeatResult {
  readonly heads: { readonly [channel: string]: Position };
}

export interface RefreshResult {
  readonly expiresAt?: number;
}

export interface UploadResult {
  readonly blob: string;
  readonly url: string;
  readonly headers: { readonly [name: string]: string };
  readonly expiresAt: number;
}

export interface DownloadResult {
  readonly url: string;
  readonly expiresAt: number;
}

/** What each action's `response` carries. */
export interface Results {
  readonly subscribe: SubscribeResult;
  readonly unsubscribe: { readonly [name: string]: never };
  readonly publish: PublishResult;
  readonly history: HistoryResult;
  readonly presence: PresenceResult;
  readonly set_presence: { readonly [name: string]: never };
  readonly stream_start: StreamStartResult;
  readonly stream_end: { readonly [name: string]: never };
  readonly stream: StreamResult;
  readonly heartbeat: HeartbeatResult;
  readonly refresh: RefreshResult;
  readonly upload: UploadResult;
  readonly download: DownloadResult;
  /** What it is a part of is answered. */
  readonly part: never;
  readonly message: PublishResult | { readonly [name: string]: never };
}
