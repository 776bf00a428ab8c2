import type { AnyContext } from "../lift/index.ts";
import type { WebSocketAuth } from "../lift/middleware/auth.ts";
import type { Identity } from "./channels.ts";

/** Who an event's connection belongs to, with the rights that its token gives where there is one. */
export function identityOf(ctx: AnyContext, auth: WebSocketAuth | undefined): Identity {
  const { userId, tenantId } = ctx;
  const { roles = [], permissions = [] } = auth?.identity(ctx) ?? {};
  return {
    ...(userId === undefined ? {} : { userId }),
    ...(tenantId === undefined ? {} : { tenantId }),
    roles,
    permissions,
  };
}
