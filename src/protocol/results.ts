import type { Json } from "./json.ts";
import { POSITION } from "./position.ts";
import type { Action } from "./requests.ts";
import {
  boolean,
  channel,
  described,
  type Infer,
  list,
  named,
  object,
  optional,
  record,
  slot,
  text,
  union,
} from "./schema.ts";
import { type ChannelMessage, ERROR_BODY, LIVE_STREAM, SERVER_MESSAGES, TIME } from "./server-messages.ts";

const NOTHING = object({});

export const PUBLISH_RESULT = named("PublishResult", object({ id: text(), position: optional(POSITION) }));

/** A channel that the connection is subscribed to now. */
export const SUBSCRIBED = object({
  channel,
  position: optional(described("Position of the channel's last message", POSITION)),
  recovered: optional(described("Whether `messages` holds everything that was missed", boolean)),
  messages: optional(list(SERVER_MESSAGES.message)),
  more: optional(described("The rest is in history, after the last of these messages", boolean)),
  live: optional(LIVE_STREAM),
});

const REFUSED = object({ channel: text(), error: ERROR_BODY });

const USER_PRESENCE = object({ user: text(), since: TIME, state: optional(slot("state")) });

/** The `data` of the `response` to each action. A `part` has none: the whole message is answered. */
export const RESULTS = {
  subscribe: object({ channels: list(union(SUBSCRIBED, REFUSED)) }),
  unsubscribe: NOTHING,
  publish: PUBLISH_RESULT,
  history: object({
    messages: list(SERVER_MESSAGES.message),
    position: POSITION,
    recovered: optional(boolean),
    more: boolean,
  }),
  presence: object({ users: list(USER_PRESENCE), more: boolean }),
  set_presence: NOTHING,
  stream_start: object({ live: LIVE_STREAM }),
  stream_end: NOTHING,
  stream: object({ live: optional(LIVE_STREAM) }),
  heartbeat: object({ heads: record(POSITION) }),
  refresh: object({ expiresAt: optional(TIME) }),
  upload: object({ blob: text(), url: text(), headers: record(text()), expiresAt: TIME }),
  download: object({ url: text(), expiresAt: TIME }),
  message: union(PUBLISH_RESULT, NOTHING),
};

export interface Subscribed extends Infer<typeof SUBSCRIBED> {}
export interface Refused extends Infer<typeof REFUSED> {}

/** The stored message's id, and its position in a channel that keeps history. */
export interface PublishResult extends Infer<typeof PUBLISH_RESULT> {}

/** A page of a channel's history, oldest message first. */
export interface HistoryResult<Data = Json> extends Omit<Infer<typeof RESULTS.history>, "messages"> {
  /** The messages, ascending by offset. */
  readonly messages: readonly ChannelMessage<Data>[];
}

/** A user in a channel, since when (ms since the epoch), and its presence state. */
export interface UserPresence<State = Json> extends Omit<Infer<typeof USER_PRESENCE>, "state"> {
  /** The user's presence state. Absent if the user has set none. */
  readonly state?: State;
}

/** A page of a channel's users. */
export interface PresenceResult<State = Json> extends Omit<Infer<typeof RESULTS.presence>, "users"> {
  /** The users in the channel, each once. */
  readonly users: readonly UserPresence<State>[];
}
export interface DownloadResult extends Infer<typeof RESULTS.download> {}

/** The `data` of the `response` to each action. */
export type Results = {
  readonly [Name in Action]: Name extends keyof typeof RESULTS ? Infer<(typeof RESULTS)[Name]> : never;
};
