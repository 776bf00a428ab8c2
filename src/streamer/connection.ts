import { type AnyContext, type Lift, LiftError, type Middleware } from "../lift/index.ts";
import type { WebSocketAuth } from "../lift/middleware/auth/index.ts";
import type { Identity } from "./access.ts";
import { rememberLegacyClient } from "./legacy-clients.ts";

/** PROTOCOL.md, "Versions". */
const VERSION = "1";

/** Fails to compile when the property is misspelt, which `Object.assign` alone accepts. */
type InPhase = Pick<Middleware, "phase">;

const check: Middleware = (ctx, next) => {
  const { event } = ctx;
  // Only $connect has a query.
  const query = "multiValueQueryStringParameters" in event ? event.multiValueQueryStringParameters : {};
  if (query?.protocol?.some((version) => version !== VERSION)) {
    throw new LiftError("VALIDATION_ERROR", {
      message: `Unsupported protocol version; this server supports version ${VERSION}`,
    });
  }
  if ("multiValueQueryStringParameters" in event) rememberLegacyClient(ctx);
  return next();
};

/**
 * Refuses a connection with 400 when its query asks for another version of the protocol, and recognizes legacy clients.
 * `createStreamer` uses it itself; use it in the `connectHandler` of a function for `$connect` alone.
 * @example
 * const middleware = [checkProtocolVersion, webSocketAuth({ jwt })];
 * export const handler = connectHandler({ connectionStore, schedule, middleware });
 */
export const checkProtocolVersion: Middleware = Object.assign(check, { phase: "guard" } satisfies InPhase);

/**
 * Refuses a message that arrives after its connection has ended. Without its row, the message would have no user and no
 * tenant, and would act in the scope of connections without a tenant.
 * @throws {LiftError} CONNECTION_CLOSED, STORE_FAILED
 */
export async function assertConnectionOpen(ctx: AnyContext, app: Lift): Promise<void> {
  if (ctx.userId !== undefined || ctx.tenantId !== undefined || app.connectionStore === undefined) return;
  if ((await ctx.connection()) === undefined) throw new LiftError("CONNECTION_CLOSED");
}

/** Returns the identity of an event's connection, with the roles and permissions of its token. */
export function readIdentity(ctx: AnyContext, auth: WebSocketAuth | undefined): Identity {
  const { userId, tenantId } = ctx;
  const { roles = [], permissions = [] } = auth?.identity(ctx) ?? {};
  return {
    ...(userId === undefined ? {} : { userId }),
    ...(tenantId === undefined ? {} : { tenantId }),
    roles,
    permissions,
  };
}
