import type { Json } from "./json.ts";
import { LIMITS } from "./limits.ts";
import { POSITION } from "./position.ts";
import {
  boolean,
  channel,
  described,
  type Infer,
  integer,
  json,
  list,
  map,
  object,
  oneOf,
  optional,
  slot,
  text,
} from "./schema.ts";

// Client to server: PROTOCOL.md, "Client to server". The server makes up an `id` for a request that has none.

/** `id`, `key` and the like. */
export const IDENTIFIER = text(1, LIMITS.idBytes);

export const CHANNEL_REQUEST = object({
  channel,
  position: optional(described("The last position that the client has", POSITION)),
  recent: optional(integer(0, LIMITS.messages)),
  state: optional(slot("stateInput", LIMITS.stateBytes)),
});

/** It becomes an HTTP header, so it is checked. */
const CONTENT_TYPE = {
  ...described("Its media type. Default application/octet-stream", IDENTIFIER),
  format: {
    pattern: /^[\w.+-]+\/[\w.+-]+(; ?[\w.+-]+=[\w.+-]+)*$/,
    message: "must be a media type, such as image/png",
  },
};

/** A call of one of the application's own actions: the fields beside its action and payload, and in a `resend`. */
const CALL_OPTIONS = {
  background: optional(
    described("Stored, and answered with an acknowledgment, however short it is", boolean),
  ),
  startAt: optional(
    described("ms since the epoch; the request is stored, and starts no earlier", integer(0)),
  ),
};

/** The fields of a call beside its `id` and `action`. */
export const CALL = object({ payload: optional(json()), ...CALL_OPTIONS });

/** The payload of each action except `message`, whose fields stand beside the action. */
export const REQUESTS = {
  // Each channel once: the server announces a member to the channel, and would announce it twice.
  subscribe: object({ channels: list(CHANNEL_REQUEST, 1, LIMITS.channels, "channel") }),
  unsubscribe: object({ channels: list(channel, 1, LIMITS.channels) }),
  publish: object({
    channel,
    data: slot("dataInput"),
    key: optional(described("The same key within 5 minutes publishes once", IDENTIFIER)),
    others: optional(described("Everyone except this connection; at-most-once only", boolean)),
  }),
  history: object(
    {
      channel,
      after: optional(POSITION),
      before: optional(integer(1)),
      limit: optional(integer(1, LIMITS.messages)),
    },
    { notBoth: ["after", "before"] },
  ),
  presence: object({ channel, after: optional(text(1, LIMITS.userBytes)) }),
  set_presence: object({ channel, state: optional(slot("stateInput", LIMITS.stateBytes)) }),
  stream_start: object({ channel, data: optional(json(LIMITS.streamBytes)) }),
  stream_end: object({ channel }),
  stream: object({ channel }),
  heartbeat: object({ positions: optional(map(channel, POSITION, LIMITS.channels)) }),
  refresh: object({ token: text(1, LIMITS.tokenBytes) }),
  upload: object({ channel, bytes: integer(1), contentType: optional(CONTENT_TYPE) }),
  download: object({ channel, blob: IDENTIFIER }),
  request: object({ request: IDENTIFIER }),
  result: object({
    request: IDENTIFIER,
    from: optional(described("Where in the result's JSON text to begin, in UTF-16 code units", integer(0))),
  }),
  requests: object({
    after: optional(text(1, LIMITS.userBytes)),
    limit: optional(integer(1, LIMITS.requests)),
  }),
  cancel: object({ request: IDENTIFIER }),
  resend: object({ action: IDENTIFIER, payload: optional(json()), ...CALL_OPTIONS }),
  part: object(
    {
      message: described("Larger than that of this connection's earlier messages in parts", integer(1)),
      index: described("From 0, and less than count", integer(0, LIMITS.parts - 1)),
      count: integer(2, LIMITS.parts),
      text: { ...text(1, LIMITS.clientFrameBytes), wellFormed: true as const },
    },
    { ascending: ["index", "count"] },
  ),
};

/** Legacy clients' `message`: its `type` and `data` stand beside the action, and the channel inside the data. */
export const LEGACY_TYPE = oneOf("chat", "presence", "stream");
export const LEGACY_DATA = object({ channel, state: optional(json()) });

export interface ChannelRequest extends Infer<typeof CHANNEL_REQUEST> {}
export interface SubscribePayload extends Infer<typeof REQUESTS.subscribe> {}
export interface UnsubscribePayload extends Infer<typeof REQUESTS.unsubscribe> {}
export interface PublishPayload extends Infer<typeof REQUESTS.publish> {}
export interface HistoryPayload extends Infer<typeof REQUESTS.history> {}
export interface PresencePayload extends Infer<typeof REQUESTS.presence> {}
export interface SetPresencePayload extends Infer<typeof REQUESTS.set_presence> {}
export interface StreamStartPayload extends Infer<typeof REQUESTS.stream_start> {}
export interface StreamEndPayload extends Infer<typeof REQUESTS.stream_end> {}
export interface StreamPayload extends Infer<typeof REQUESTS.stream> {}
export interface HeartbeatPayload extends Infer<typeof REQUESTS.heartbeat> {}
export interface RefreshPayload extends Infer<typeof REQUESTS.refresh> {}
export interface UploadPayload extends Infer<typeof REQUESTS.upload> {}
export interface DownloadPayload extends Infer<typeof REQUESTS.download> {}
export interface RequestPayload extends Infer<typeof REQUESTS.request> {}
export interface ResultPayload extends Infer<typeof REQUESTS.result> {}
export interface RequestsPayload extends Infer<typeof REQUESTS.requests> {}
export interface CancelPayload extends Infer<typeof REQUESTS.cancel> {}
export interface ResendPayload extends Infer<typeof REQUESTS.resend> {}
export interface PartPayload extends Infer<typeof REQUESTS.part> {}

/** A `message` of legacy clients, parsed. */
export interface LegacyMessage {
  readonly type: Infer<typeof LEGACY_TYPE>;
  readonly channel: string;
  /** The whole of `data`, which is published. */
  readonly data: { readonly [name: string]: Json };
}

/** The payload of each action. */
export type Payloads = { readonly [Name in keyof typeof REQUESTS]: Infer<(typeof REQUESTS)[Name]> } & {
  readonly message: LegacyMessage;
};

export type Action = keyof Payloads;

export const ACTIONS: readonly Action[] = [...(Object.keys(REQUESTS) as Action[]), "message"];

/** A call of one of the application's own actions, parsed. */
export interface Call extends Infer<typeof CALL> {
  readonly id?: string;
  readonly action: string;
}

/** A call as a message. Its own `action` is not one of the protocol's. */
export interface CallMessage {
  readonly action: "call";
  readonly id?: string;
  readonly payload: Call;
}

/** A client's message, parsed: switch on `action`. */
export type Request = {
  [Name in Action]: { readonly action: Name; readonly id?: string; readonly payload: Payloads[Name] };
}[Action];
