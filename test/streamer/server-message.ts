// Checks every field that a server sends against the protocol's schemas. The client checks less: it trusts its server.
import { SERVER_MESSAGES, type ServerMessage } from "../../src/protocol/index.ts";
import { parseObject, parseValue } from "../../src/protocol/parse.ts";
import { type Schema, text } from "../../src/protocol/schema.ts";

/**
 * Lengths that the schemas leave open. A `request_id` may be longer than a request's `id`: an error that refuses a
 * request for its id carries that id.
 */
const LENGTHS: { readonly [field: string]: Schema } = {
  request_id: text(1, 4_096),
  id: text(1, 1_024),
  user: text(1, 1_024),
  code: text(1, 1_024),
};
const MESSAGE = text(0, 131_072);

/**
 * Parses a server's message. Returns `undefined` for an unknown type, which receivers ignore.
 * @throws {ProtocolError} MALFORMED_JSON, VALIDATION_ERROR
 */
export function parseServerMessage(message: string): ServerMessage | undefined {
  const fields = parseObject(message);
  const type = Object.hasOwn(fields, "type") ? fields.type : undefined;
  if (typeof type !== "string" || !Object.hasOwn(SERVER_MESSAGES, type)) return undefined;
  const schema: Schema = SERVER_MESSAGES[type as ServerMessage["type"]];
  const parsed = parseValue(schema, fields, "") as ServerMessage;
  checkLengths(parsed);
  if ("live" in parsed) checkLengths(parsed.live);
  if (parsed.type === "error") {
    checkLengths(parsed.error);
    parseValue(MESSAGE, parsed.error.message, "error.message");
  }
  return parsed;
}

function checkLengths(fields: object): void {
  for (const [name, value] of Object.entries(fields)) {
    const schema = Object.hasOwn(LENGTHS, name) ? LENGTHS[name] : undefined;
    if (schema !== undefined) parseValue(schema, value, name);
  }
}
