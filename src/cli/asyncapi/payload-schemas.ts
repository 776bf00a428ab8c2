import {
  type ChannelMessage,
  type ErrorBody,
  type ErrorMessage,
  type Json,
  LIMITS,
  type LiveStream,
  type Position,
  type PublishResult,
  RETRY_BY_CODE,
} from "../../protocol/index.ts";
import {
  boolean,
  constant,
  type Definitions,
  described,
  integer,
  json,
  object,
  optional,
  type Schema,
  shortText,
  text,
} from "./schema.ts";

/** What a namespace's channels carry. */
export interface PayloadSchemas {
  readonly channel: Schema<string>;
  /** What publishers give. */
  readonly published: Schema<Json>;
  /** What everyone gets for it. */
  readonly data: Schema<Json>;
  /** What users give to show of themselves. */
  readonly shown: Schema<Json>;
  /** What everyone sees of them. */
  readonly state: Schema<Json>;
}

/** What is the same in every namespace. */
export interface CommonSchemas {
  readonly position: Schema<Position>;
  readonly live: Schema<LiveStream>;
  readonly publishResult: Schema<PublishResult>;
  readonly errorBody: Schema<ErrorBody>;
  readonly error: Schema<ErrorMessage>;
}

export const id = shortText(1, LIMITS.idBytes);
export const time = described("ms since the epoch", integer(0));

/** The channels of these namespaces. */
export function channelOf(namespaces: readonly string[]): Schema<string> {
  const namespace = namespaces.length === 1 ? namespaces[0] : `(?:${namespaces.join("|")})`;
  return {
    type: "string",
    pattern: `^${namespace}:[^\\u0000-\\u001f\\u007f]{1,${LIMITS.channelNameBytes}}$`,
  };
}

export function defineCommon(definitions: Definitions): CommonSchemas {
  const position = definitions.define(
    "Position",
    described("A place in a channel's history.", object<Position>({ epoch: id, offset: integer(0) })),
  );
  const live = definitions.define(
    "LiveStream",
    described(
      "Who streams in a channel.",
      object<LiveStream>({ user: text, since: time, viewers: integer(0), data: optional(json) }),
    ),
  );
  const publishResult = definitions.define(
    "PublishResult",
    object<PublishResult>({ id: text, position: optional(position) }),
  );
  return { position, live, publishResult, ...defineErrors(definitions) };
}

function defineErrors(definitions: Definitions): Pick<CommonSchemas, "errorBody" | "error"> {
  const codes = `One of ${Object.keys(RETRY_BY_CODE).join(", ")}, or the application's own`;
  const errorBody = definitions.define(
    "ErrorBody",
    object<ErrorBody>({
      code: described(codes, text),
      message: described("For people", text),
      retry: described("Whether the client sends the same again, after a while, by itself", boolean),
      details: optional(json),
    }),
  );
  const error = object<ErrorMessage>({
    type: constant("error"),
    request_id: optional(described("Absent: the connection is about to be closed", text)),
    error: errorBody,
  });
  return { errorBody, error: definitions.define("ErrorMessage", error) };
}

export function channelMessage(
  { channel, data }: PayloadSchemas,
  position: Schema<Position>,
): Schema<ChannelMessage> {
  return object<ChannelMessage>({
    type: constant("message"),
    id: described("A message may arrive twice: its id is the same", text),
    channel,
    data,
    at: time,
    user: optional(described("Absent: the server, or somebody anonymous", text)),
    position: optional(described("At-least-once only", position)),
  });
}
