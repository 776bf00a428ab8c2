import { parseChannelName } from "./channel-name.ts";
import { ProtocolError } from "./codes.ts";
import { LIMITS } from "./limits.ts";
import { parseAs, parseObject, parseValue, toProtocolError, ValidationError } from "./parse.ts";
import {
  IDENTIFIER,
  LEGACY_DATA,
  LEGACY_TYPE,
  type LegacyMessage,
  REQUESTS,
  type Request,
} from "./requests.ts";
import { json, object, optional } from "./schema.ts";

const ANY_JSON = json();
const LEGACY_STATE = object({ state: optional(json(LIMITS.stateBytes)) });

/**
 * Parses a client's message. Anything that is not a valid request throws.
 * @throws {ProtocolError} MALFORMED_JSON, VALIDATION_ERROR, NOT_FOUND (unknown action), with the request's id if the id
 * is valid
 */
export function parseRequest(message: string): Request {
  const fields = parseObject(message);
  const own = (name: string) => (Object.hasOwn(fields, name) ? fields[name] : undefined);
  const id = own("id");
  const requestId = id === undefined ? undefined : parseAs(IDENTIFIER, id, "id");
  const action = parseAs(IDENTIFIER, own("action"), "action", requestId);
  const head = { action, ...(requestId === undefined ? {} : { id: requestId }) };
  if (action === "message") return { ...head, payload: parseLegacy(fields, requestId) } as Request;
  if (!Object.hasOwn(REQUESTS, action)) {
    throw new ProtocolError("NOT_FOUND", "There is no such action", requestId);
  }
  const schema = REQUESTS[action as keyof typeof REQUESTS];
  return { ...head, payload: parseValue(schema, own("payload") ?? {}, "payload", requestId) } as Request;
}

function parseLegacy(
  message: { readonly type?: unknown; readonly data?: unknown },
  requestId?: string,
): LegacyMessage {
  const type = parseAs(LEGACY_TYPE, message.type, "type", requestId);
  const data = parseAs(ANY_JSON, message.data, "data", requestId);
  const { channel } = parseAs(LEGACY_DATA, data, "data", requestId);
  if (type === "presence") parseAs(LEGACY_STATE, data, "data", requestId);
  if (type === "stream" && parseChannelName(channel)?.namespace !== "stream") {
    const error = new ValidationError("data.channel", "must be a channel of the namespace stream");
    throw toProtocolError(error, requestId);
  }
  return { type, channel, data: data as LegacyMessage["data"] };
}
