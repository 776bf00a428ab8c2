export { type ChannelName, parseChannelName } from "./channel-name.ts";
export type * from "./channel-types.ts";
export { CLIENT_LIMITS } from "./client-limits.ts";
export { type ErrorCode, type Issue, ProtocolError, type ProtocolErrorCode, RETRY_BY_CODE } from "./codes.ts";
export { type Json, utf8Length } from "./json.ts";
export { LIMITS } from "./limits.ts";
export type * from "./messages.ts";
export { ACTIONS, parseRequest } from "./request.ts";
