import { parseChannelName } from "./channel-name.ts";
import { ProtocolError } from "./codes.ts";
import { LIMITS } from "./limits.ts";
import { parseAs, parseObject, parseValue, toProtocolError, ValidationError } from "./parse.ts";
import {
  CALL,
  type CallMessage,
  IDENTIFIER,
  LEGACY_DATA,
  LEGACY_TYPE,
  type LegacyMessage,
  REQUESTS,
  type Request,
} from "./requests.ts";
import { json, object, optional } from "./schema.ts";

/** Legacy clients send the id as `request_id`. */
const ID_NAMES = ["id", "request_id"] as const;

const ANY_JSON = json();
const LEGACY_STATE = object({ state: optional(json(LIMITS.stateBytes)) });

/**
 * Parses a client's message as a request of the protocol.
 * @throws {ProtocolError} MALFORMED_JSON, VALIDATION_ERROR, NOT_FOUND (unknown action), with the request's id if the id
 * is valid
 */
export function parseRequest(message: string): Request {
  return toRequest(parseHead(message));
}

/**
 * Parses a client's message as a request of the protocol, or as a call of an action that the application has registered.
 * @param isCall returns whether the application has registered an action
 * @throws {ProtocolError} as `parseRequest`
 */
export function parseMessage(message: string, isCall: (action: string) => boolean): Request | CallMessage {
  const parsed = parseHead(message);
  const { fields, head } = parsed;
  const { id, action } = head;
  if (!isCall(action)) return toRequest(parsed);
  return { ...head, action: "call", payload: { action, ...parseAs(CALL, fields, "", id) } };
}

function toRequest({ fields, own, head }: ReturnType<typeof parseHead>): Request {
  const { action, id: requestId } = head;
  if (action === "message") return { ...head, payload: parseLegacy(fields, requestId) } as Request;
  if (!Object.hasOwn(REQUESTS, action)) {
    throw new ProtocolError("NOT_FOUND", "There is no such action", requestId);
  }
  const schema = REQUESTS[action as keyof typeof REQUESTS];
  return { ...head, payload: parseValue(schema, own("payload") ?? {}, "payload", requestId) } as Request;
}

/** Parses the fields that all messages have. `own` reads a field that is not inherited. */
function parseHead(message: string) {
  const fields = parseObject(message);
  const own = (name: string) => (Object.hasOwn(fields, name) ? fields[name] : undefined);
  const idName = ID_NAMES.find((name) => own(name) !== undefined);
  const id = idName === undefined ? undefined : parseAs(IDENTIFIER, own(idName), idName);
  const action = parseAs(IDENTIFIER, own("action"), "action", id);
  return { fields, own, head: { action, ...(id === undefined ? {} : { id }) } };
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
