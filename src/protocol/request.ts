import { channel, parseChannelName } from "./channel-name.ts";
import { ProtocolError } from "./codes.ts";
import { LIMITS } from "./limits.ts";
import type { Action, ChannelRequest, LegacyMessage, Payloads, Request } from "./messages.ts";
import {
  boolean,
  integer,
  json,
  list,
  mapOf,
  object,
  oneOf,
  optional,
  parseObject,
  type Reader,
  readAs,
  text,
  ValidationError,
  wellFormed,
} from "./read.ts";

/** A place in a history, as a client or a server writes it. */
export const position = object({ epoch: text(1, LIMITS.idBytes), offset: integer(0) });

const id = optional(text(1, LIMITS.idBytes));
const state = optional(json(LIMITS.stateBytes));

const history = object({
  channel,
  after: optional(position),
  before: optional(integer(1)),
  limit: optional(integer(1, LIMITS.messages)),
});

/** It becomes a header. */
const contentType: Reader<string> = (value, path) => {
  const type = text(1, LIMITS.idBytes)(value, path);
  if (/^[\w.+-]+\/[\w.+-]+(; ?[\w.+-]+=[\w.+-]+)*$/.test(type)) return type;
  throw new ValidationError(path, "must be a media type, such as image/png");
};

const part = object({
  message: integer(1),
  index: integer(0),
  count: integer(2, LIMITS.parts),
  text: wellFormed(text(1, LIMITS.clientFrameBytes)),
});

const subscriptions = list(
  object({ channel, position: optional(position), recent: optional(integer(0, LIMITS.messages)), state }),
  1,
  LIMITS.channels,
);

/** Each once: what is told of one that comes twice would be told twice, to everyone there. */
const channels: Reader<ChannelRequest[]> = (value, path) => {
  const asked = subscriptions(value, path);
  if (new Set(asked.map((one) => one.channel)).size === asked.length) return asked;
  throw new ValidationError(path, "must name each channel once");
};

const PAYLOADS: { readonly [Name in Exclude<Action, "message">]: Reader<Payloads[Name]> } = {
  subscribe: object({ channels }),
  unsubscribe: object({ channels: list(channel, 1, LIMITS.channels) }),
  publish: object({
    channel,
    data: json(),
    key: optional(text(1, LIMITS.idBytes)),
    others: optional(boolean),
  }),
  history: (value, path) => {
    const payload = history(value, path);
    if (payload.after === undefined || payload.before === undefined) return payload;
    throw new ValidationError(path, "must have one of after and before");
  },
  presence: object({ channel, after: optional(text(1, LIMITS.userBytes)) }),
  set_presence: object({ channel, state }),
  stream_start: object({ channel, data: optional(json(LIMITS.streamBytes)) }),
  stream_end: object({ channel }),
  stream: object({ channel }),
  heartbeat: object({ positions: optional(mapOf(channel, position, LIMITS.channels)) }),
  refresh: object({ token: text(1, LIMITS.tokenBytes) }),
  upload: object({ channel, bytes: integer(1), contentType: optional(contentType) }),
  download: object({ channel, blob: text(1, LIMITS.idBytes) }),
  part: (value, path) => {
    const payload = part(value, path);
    if (payload.index < payload.count) return payload;
    throw new ValidationError(`${path}.index`, "must be less than count");
  },
};

const legacyData = object({ channel });
const legacyState = object({ state });

/** The seed's route has its fields beside the action, and the channel among the data. */
const legacy: Reader<LegacyMessage> = (value) => {
  const message = value as { readonly type?: unknown; readonly data?: unknown };
  const type = oneOf("chat", "presence", "stream")(message.type, "type");
  const data = json()(message.data, "data");
  const { channel } = legacyData(data, "data");
  if (type === "presence") legacyState(data, "data");
  if (type === "stream" && parseChannelName(channel)?.namespace !== "stream") {
    throw new ValidationError("data.channel", "must be a channel of the namespace stream");
  }
  return { type, channel, data: data as LegacyMessage["data"] };
};

export const ACTIONS: readonly Action[] = [...(Object.keys(PAYLOADS) as Action[]), "message"];

/**
 * Reads a client's message, whatever it sent.
 * @throws {ProtocolError} MALFORMED_JSON, VALIDATION_ERROR, NOT_FOUND (no such action), with the request's id where
 * it could be read
 */
export function parseRequest(message: string): Request {
  const fields = parseObject(message);
  const own = (name: string) => (Object.hasOwn(fields, name) ? fields[name] : undefined);
  const requestId = readAs(id, own("id"), "id");
  const action = readAs(text(1, LIMITS.idBytes), own("action"), "action", requestId);
  const head = { action, ...(requestId === undefined ? {} : { id: requestId }) };
  if (action === "message") return { ...head, payload: readAs(legacy, fields, "", requestId) } as Request;
  if (!Object.hasOwn(PAYLOADS, action)) {
    throw new ProtocolError("NOT_FOUND", "There is no such action", requestId);
  }
  const reader: Reader<unknown> = PAYLOADS[action as keyof typeof PAYLOADS];
  const payload = own("payload") ?? {};
  return { ...head, payload: readAs(reader, payload, "payload", requestId) } as Request;
}
