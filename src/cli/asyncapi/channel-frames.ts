import {
  type Action,
  type HistoryPayload,
  type HistoryResult,
  LIMITS,
  type Payloads,
  type PresenceMessage,
  type PresenceResult,
  type Results,
  type ServerMessage,
  type StreamEndedMessage,
  type StreamStartedMessage,
  type UserPresence,
  type ViewersMessage,
} from "../../protocol/index.ts";
import { type Exchange, exchange } from "./exchange.ts";
import { type CommonSchemas, channelMessage, id, type PayloadSchemas, time } from "./payload-schemas.ts";
import {
  type AnySchema,
  boolean,
  constant,
  described,
  integer,
  json,
  keyed,
  list,
  nothing,
  object,
  oneOf,
  optional,
  shortText,
  text,
} from "./schema.ts";

/** The actions that are about one channel; the others are about the connection, or about several channels. */
export type ChannelAction = Extract<
  Action,
  | "publish"
  | "history"
  | "presence"
  | "set_presence"
  | "stream_start"
  | "stream_end"
  | "stream"
  | "upload"
  | "download"
>;

/** What members of a channel get without asking. */
export type PushType = Exclude<ServerMessage["type"], "response" | "error">;

export interface Push {
  readonly summary: string;
  readonly frame: AnySchema;
}

/** What clients ask about a channel of one namespace. */
export function channelExchanges(
  carried: PayloadSchemas,
  { position, publishResult, live }: CommonSchemas,
): { readonly [Name in ChannelAction]: Exchange } {
  const { channel, published, shown, state } = carried;
  const channelOnly = object<{ readonly channel: string }>({ channel });
  const history = object<HistoryPayload>({
    channel,
    after: optional(position),
    before: optional(integer(1)),
    limit: optional(integer(1, LIMITS.messages)),
  });
  const publication = object<Payloads["publish"]>({
    channel,
    data: published,
    key: optional(described("The same key within 5 minutes publishes once", id)),
    others: optional(described("Everyone but this connection; at-most-once only", boolean)),
  });
  const streamData = described(`At most ${LIMITS.streamBytes} bytes of JSON`, json);
  const stream = object<Payloads["stream_start"]>({ channel, data: optional(streamData) });
  const user = object<UserPresence>({ user: text, since: time, state: optional(state) });
  return {
    publish: exchange(
      "publish",
      "Publishes. Answered when the message is stored, or handed over where nothing is stored.",
      publication,
      publishResult,
    ),
    history: exchange(
      "history",
      "Reads the channel's history: what is after a position, or before an offset, or the newest.",
      { ...history, not: { required: ["after", "before"] } },
      object<HistoryResult>({
        messages: list(channelMessage(carried, position)),
        position,
        recovered: optional(boolean),
        more: boolean,
      }),
    ),
    presence: exchange(
      "presence",
      "Asks who is there: each user once. Where there are more, those behind the last of them.",
      object<Payloads["presence"]>({ channel, after: optional(shortText(1, LIMITS.userBytes)) }),
      object<PresenceResult>({ users: list(user), more: boolean }),
    ),
    set_presence: exchange(
      "set_presence",
      "Sets what the user shows of themself in a channel that they are in; without a state, nothing.",
      object<Payloads["set_presence"]>({ channel, state: optional(shown) }),
      nothing,
    ),
    stream_start: exchange(
      "stream_start",
      "The user streams in the channel from now on, or shows other data of their stream.",
      stream,
      object<Results["stream_start"]>({ live }),
    ),
    stream_end: exchange("stream_end", "Ends the user's stream.", channelOnly, nothing),
    stream: exchange(
      "stream",
      "Asks who streams in the channel.",
      channelOnly,
      object<Results["stream"]>({ live: optional(live) }),
    ),
    ...blobExchanges(channel),
  };
}

function blobExchanges(channel: PayloadSchemas["channel"]): {
  readonly [Name in "upload" | "download"]: Exchange;
} {
  const contentType = {
    ...shortText(1, LIMITS.idBytes),
    pattern: "^[\\w.+-]+/[\\w.+-]+(; ?[\\w.+-]+=[\\w.+-]+)*$",
    description: "Its media type. Default application/octet-stream",
  };
  return {
    upload: exchange(
      "upload",
      "Asks where to put a blob, for what is too large for a message: by an HTTP PUT with these headers.",
      object<Payloads["upload"]>({ channel, bytes: integer(1), contentType: optional(contentType) }),
      object<Results["upload"]>({ blob: text, url: text, headers: keyed(text, text), expiresAt: time }),
    ),
    download: exchange(
      "download",
      "Asks where a blob of the channel is, for an HTTP GET.",
      object<Payloads["download"]>({ channel, blob: id }),
      object<Results["download"]>({ url: text, expiresAt: time }),
    ),
  };
}

/** What members of a channel of one namespace get. */
export function pushes(
  carried: PayloadSchemas,
  { position, live }: CommonSchemas,
): { readonly [Type in PushType]: Push } {
  const { channel, state } = carried;
  const about = { id: text, channel, at: time };
  return {
    message: {
      summary: "Somebody has published, or the server has.",
      frame: channelMessage(carried, position),
    },
    presence: {
      summary: "A user has come, has left, or shows something else. Once per user, however many tabs.",
      frame: object<PresenceMessage>({
        type: constant("presence"),
        ...about,
        event: oneOf("join", "leave", "update"),
        user: text,
        state: optional(state),
      }),
    },
    stream_started: {
      summary: "Somebody streams, or shows other data of their stream.",
      frame: object<StreamStartedMessage>({ type: constant("stream_started"), ...about, live }),
    },
    stream_ended: {
      summary: "The stream is over.",
      frame: object<StreamEndedMessage>({
        type: constant("stream_ended"),
        ...about,
        user: text,
        reason: oneOf("ended", "owner_left"),
      }),
    },
    viewers: {
      summary: "How many connections the channel has, while somebody streams.",
      frame: object<ViewersMessage>({ type: constant("viewers"), ...about, count: integer(0) }),
    },
  };
}
