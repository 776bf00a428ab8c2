export { type ChannelName, parseChannelName } from "./channel-name.ts";
export type * from "./channel-types.ts";

export { type ErrorCode, ProtocolError, RETRY_BY_CODE } from "./codes.ts";
export { type Json, utf8Length } from "./json.ts";
export {
  channelJsonSchema,
  type JsonSchema,
  type JsonSchemaOptions,
  namedJsonSchemas,
  toJsonSchema,
} from "./json-schema.ts";
export {
  LIMITS,
  MAX_CHANNELS,
  MAX_CLIENT_FRAME_BYTES,
  MAX_ID_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_MESSAGES,
} from "./limits.ts";
export { parseMessage, parseRequest } from "./parse-request.ts";
export type { Position } from "./position.ts";
export type * from "./requests.ts";
export { ACTIONS, CALL, CHANNEL_REQUEST, IDENTIFIER, LEGACY_DATA, REQUESTS } from "./requests.ts";
export type * from "./results.ts";
export { RESULTS, SUBSCRIBED } from "./results.ts";
export type * from "./server-messages.ts";
export { RESPONSE_DATA, SERVER_MESSAGES } from "./server-messages.ts";
