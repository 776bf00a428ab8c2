export {
  type WebSocketAuth,
  type WebSocketAuthOptions,
  type WebSocketAuthorizer,
  webSocketAuth,
  webSocketAuthorizer,
} from "./auth.ts";
export { type ConnectAuthOptions, connectAuth } from "./connect-auth.ts";
export {
  type AuthIdentity,
  authIdentity,
  identityFromRow,
  identityToRow,
  requirePermission,
} from "./identity.ts";
export type { JwksOptions } from "./jwks.ts";
export type { JwtOptions } from "./jwt.ts";
export type { TokenOptions, ValidateToken } from "./verifier.ts";
