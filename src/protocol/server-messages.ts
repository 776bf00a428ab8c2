import { RETRY_BY_CODE } from "./codes.ts";
import type { Json } from "./json.ts";
import { POSITION } from "./position.ts";
import {
  boolean,
  channel,
  constant,
  described,
  type Infer,
  integer,
  json,
  named,
  number,
  object,
  oneOf,
  optional,
  slot,
  text,
} from "./schema.ts";

// Server to client: PROTOCOL.md, "Server to client".

/** ms since the epoch. */
export const TIME = described("ms since the epoch", integer(0));

export const ERROR_BODY = named(
  "ErrorBody",
  object({
    code: described(`One of ${Object.keys(RETRY_BY_CODE).join(", ")}, or the application's own`, text()),
    message: described("For people", text()),
    retry: described("Whether the client resends the request by itself after a delay", boolean),
    details: optional(json()),
  }),
);

export const LIVE_STREAM = described(
  "The live stream of a channel.",
  named("LiveStream", object({ user: text(), since: TIME, viewers: integer(0), data: optional(json()) })),
);

/** The part of a `response` that depends on its request's action: see `RESULTS`. Any JSON for the application's actions. */
export const RESPONSE_DATA = json();

/** How far a request is, in percent. */
export const PERCENTAGE = number(0, 100);

/** The end of a request's output. */
export const OUTPUT = described("Offset of the last message of its output; 0: none", integer(0));

/** Every message that a server sends, by its `type`. */
export const SERVER_MESSAGES = {
  response: object({
    type: constant("response"),
    request_id: text(),
    success: constant(true),
    data: RESPONSE_DATA,
  }),
  error: named(
    "ErrorMessage",
    object({
      type: constant("error"),
      request_id: optional(described("Absent: the server is about to close the connection", text())),
      error: ERROR_BODY,
      output: optional(OUTPUT),
    }),
  ),
  acknowledgment: object({
    type: constant("acknowledgment"),
    request_id: text(),
    status: constant("queued"),
    message: described("For people", text()),
  }),
  progress: object({
    type: constant("progress"),
    request_id: text(),
    percentage: PERCENTAGE,
    message: text(),
    metadata: optional(json()),
    attempt: integer(1),
  }),
  complete: object({
    type: constant("complete"),
    request_id: text(),
    success: constant(true),
    result: optional(json()),
    result_bytes: optional(described("In place of a result that is larger than a frame", integer(0))),
    output: OUTPUT,
  }),
  message: object({
    type: constant("message"),
    id: described("A message may arrive twice, with the same id", text()),
    channel,
    data: slot("data"),
    at: TIME,
    user: optional(described("Absent: published by the server or by an anonymous user", text())),
    position: optional(described("At-least-once only", POSITION)),
    from: optional(described("In a request's output: the first offset that the message covers", integer(1))),
  }),
  presence: object({
    type: constant("presence"),
    id: text(),
    channel,
    at: TIME,
    event: oneOf("join", "leave", "update"),
    user: text(),
    state: optional(slot("state")),
  }),
  stream_started: object({
    type: constant("stream_started"),
    id: text(),
    channel,
    at: TIME,
    live: LIVE_STREAM,
  }),
  stream_ended: object({
    type: constant("stream_ended"),
    id: text(),
    channel,
    at: TIME,
    user: text(),
    reason: oneOf("ended", "owner_left"),
  }),
  viewers: object({ type: constant("viewers"), id: text(), channel, at: TIME, count: integer(0) }),
};

export interface ErrorBody extends Infer<typeof ERROR_BODY> {}
export interface ResponseMessage extends Infer<typeof SERVER_MESSAGES.response> {}
export interface ErrorMessage extends Infer<typeof SERVER_MESSAGES.error> {}

export interface AcknowledgmentMessage extends Infer<typeof SERVER_MESSAGES.acknowledgment> {}
export interface ProgressMessage extends Infer<typeof SERVER_MESSAGES.progress> {}
export interface CompleteMessage extends Infer<typeof SERVER_MESSAGES.complete> {}

/** A message about a long request, for the connections that made or watch it. */
export type RequestMessage = AcknowledgmentMessage | ProgressMessage | CompleteMessage;

/** A message published to a channel. */
export interface ChannelMessage<Data = Json> extends Omit<Infer<typeof SERVER_MESSAGES.message>, "data"> {
  /** The published data. */
  readonly data: Data;
}

/** A user joined or left a channel, or changed its presence state there. */
export interface PresenceMessage<State = Json> extends Omit<Infer<typeof SERVER_MESSAGES.presence>, "state"> {
  /** The user's presence state. Absent if the user has set none. */
  readonly state?: State;
}

/** The live stream of a channel: its owner, start in ms since the epoch, viewers and data. */
export interface LiveStream extends Infer<typeof LIVE_STREAM> {}
export interface StreamStartedMessage extends Infer<typeof SERVER_MESSAGES.stream_started> {}
export interface StreamEndedMessage extends Infer<typeof SERVER_MESSAGES.stream_ended> {}
export interface ViewersMessage extends Infer<typeof SERVER_MESSAGES.viewers> {}

/** A change of a channel's live stream. */
export type StreamMessage = StreamStartedMessage | StreamEndedMessage | ViewersMessage;

/** A server's message, parsed: switch on `type`. */
export type ServerMessage =
  | ResponseMessage
  | ErrorMessage
  | RequestMessage
  | ChannelMessage
  | PresenceMessage
  | StreamMessage;
