// Holds what a server has sent against PROTOCOL.md, every value of it. The client reads less: it trusts its server.
import { channel } from "../../src/protocol/channel-name.ts";
import type { Json } from "../../src/protocol/json.ts";
import type { ServerMessage } from "../../src/protocol/messages.ts";
import {
  boolean,
  integer,
  json,
  object,
  oneOf,
  optional,
  parseObject,
  type Reader,
  readAs,
  text,
} from "../../src/protocol/read.ts";
import { position } from "../../src/protocol/request.ts";

const word = text(1, 1_024);
/** Larger than a request's: an error answers a request that is refused for its id, under that id. */
const requestId = text(1, 4_096);
const dataObject: Reader<{ readonly [name: string]: Json }> = (value, path) => {
  object({})(value, path);
  return json()(value, path) as { readonly [name: string]: Json };
};

const MESSAGES: { readonly [Type in ServerMessage["type"]]: Reader<Extract<ServerMessage, { type: Type }>> } =
  {
    response: object({
      type: oneOf("response"),
      request_id: requestId,
      success: (value, path) => boolean(value, path) as true,
      data: dataObject,
    }),
    error: object({
      type: oneOf("error"),
      request_id: optional(requestId),
      error: object({ code: word, message: text(0, 131_072), retry: boolean, details: optional(json()) }),
    }),
    message: object({
      type: oneOf("message"),
      id: word,
      channel,
      data: json(),
      at: integer(0),
      user: optional(word),
      position: optional(position),
    }),
    presence: object({
      type: oneOf("presence"),
      id: word,
      channel,
      event: oneOf("join", "leave", "update"),
      user: word,
      at: integer(0),
      state: optional(json()),
    }),
    stream_started: object({
      type: oneOf("stream_started"),
      id: word,
      channel,
      at: integer(0),
      live: object({ user: word, since: integer(0), viewers: integer(0), data: optional(json()) }),
    }),
    stream_ended: object({
      type: oneOf("stream_ended"),
      id: word,
      channel,
      at: integer(0),
      user: word,
      reason: oneOf("ended", "owner_left"),
    }),
    viewers: object({ type: oneOf("viewers"), id: word, channel, at: integer(0), count: integer(0) }),
  };

/**
 * Reads a server's message. `undefined`: its type is not known here, so it is to be ignored.
 * @throws {ProtocolError} MALFORMED_JSON, VALIDATION_ERROR
 */
export function parseServerMessage(message: string): ServerMessage | undefined {
  const fields = parseObject(message);
  const type = Object.hasOwn(fields, "type") ? fields.type : undefined;
  if (typeof type !== "string" || !Object.hasOwn(MESSAGES, type)) return undefined;
  const reader: Reader<ServerMessage> = MESSAGES[type as ServerMessage["type"]];
  return readAs(reader, fields, "");
}
