import type { Json } from "./json.ts";
import { POSITION } from "./position.ts";
import type { Action } from "./requests.ts";
import {
  boolean,
  channel,
  described,
  type Infer,
  integer,
  json,
  list,
  named,
  object,
  oneOf,
  optional,
  record,
  slot,
  text,
  union,
} from "./schema.ts";
import {
  type ChannelMessage,
  ERROR_BODY,
  LIVE_STREAM,
  OUTPUT,
  PERCENTAGE,
  SERVER_MESSAGES,
  TIME,
} from "./server-messages.ts";

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

const REQUEST_STATE = oneOf("PENDING", "PROCESSING", "RETRYING", "COMPLETED", "FAILED", "CANCELLED");

const REQUEST_FIELDS = {
  id: text(),
  action: text(),
  state: REQUEST_STATE,
  attempt: described("0 before the first", integer(0)),
  createdAt: TIME,
  updatedAt: TIME,
  progress: optional(
    object({ percentage: PERCENTAGE, message: optional(text()), details: optional(json()) }),
  ),
  error: optional(described("The error of the last attempt, while RETRYING or FAILED", ERROR_BODY)),
};

/** A long request, as lists show it. */
export const REQUEST_SUMMARY = named("RequestSummary", object(REQUEST_FIELDS));

/** A long request with its end. */
export const REQUEST_INFO = named(
  "RequestInfo",
  object({
    ...REQUEST_FIELDS,
    result: optional(described("When COMPLETED", json())),
    result_bytes: optional(described("In place of a result that is larger than a frame", integer(0))),
    output: OUTPUT,
  }),
);

/** The `data` of the `response` to each action. A `part` has none: the whole message is answered. */
export const RESULTS = {
  subscribe: object({ channels: list(union(REFUSED, SUBSCRIBED)) }),
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
  request: REQUEST_INFO,
  result: object({
    text: text(),
    more: boolean,
    url: optional(described("In place of pieces: has the whole result", text())),
    expiresAt: optional(TIME),
  }),
  requests: object({ requests: list(REQUEST_SUMMARY), next: optional(text()) }),
  cancel: object({ state: REQUEST_STATE }),
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
/** A long request: its state, progress, and its error or result. Times are in ms since the epoch. */
export interface RequestInfo<Result = Json> extends Omit<Infer<typeof REQUEST_INFO>, "result"> {
  /** The result, when it is COMPLETED and fits into a frame. */
  readonly result?: Result;
}

/** A long request in a list. */
export interface RequestSummary extends Infer<typeof REQUEST_SUMMARY> {}

export interface DownloadResult extends Infer<typeof RESULTS.download> {}

/** The `data` of the `response` to each action. */
export type Results = {
  readonly [Name in Action]: Name extends keyof typeof RESULTS ? Infer<(typeof RESULTS)[Name]> : never;
};
