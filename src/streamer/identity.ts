import { type AnyContext, type Lift, LiftError } from "../lift/index.ts";
import type { WebSocketAuth } from "../lift/middleware/auth/index.ts";
import type { Identity } from "./namespaces.ts";

/**
 * Refuses a message that comes behind its connection's end: without the row it would be nobody's, and so in the scope
 * of those who have no tenant.
 * @throws {LiftError} CONNECTION_CLOSED, STORE_FAILED
 */
export async function assertOpen(ctx: AnyContext, app: Lift): Promise<void> {
  if (ctx.userId !== undefined || ctx.tenantId !== undefined || app.connectionStore === undefined) return;
  if ((await ctx.connection()) === undefined) throw new LiftError("CONNECTION_CLOSED");
}

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
