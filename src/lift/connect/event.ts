import { isSuccess, type WebSocketResult } from "../../apigw/index.ts";
import type { Connection, ConnectionStore } from "../../store/index.ts";
import { runToEnd, type Step } from "../compose.ts";
import { endpointOf } from "../connections/by-endpoint.ts";
import { rowExpiry } from "../connections/connection-age.ts";
import { type AnyContext, contextInternals } from "../context.ts";
import { LiftError } from "../errors.ts";
import { refuse } from "../event-failure.ts";
import { fromStore } from "../event-state.ts";
import { invalidResult, validateConnectResult } from "../result.ts";
import type { Settings } from "../settings.ts";

/** Runs a `$connect` event: the middleware and the handler, then saves the row, unless they refused the client. */
export async function runConnect(ctx: AnyContext, step: Step): Promise<WebSocketResult> {
  try {
    contextInternals.adoptAuthorizer(ctx);
    contextInternals.adoptRow(ctx, undefined);
    await runToEnd(ctx, step);
    if (!contextInternals.hasResult(ctx)) {
      throw invalidResult(
        "A middleware must call `next()` or set a status on $connect; the client is refused",
      );
    }
    const settings = contextInternals.settingsOf(ctx);
    const result = contextInternals.resultOf(ctx);
    if (isSuccess(result.statusCode)) {
      validateConnectResult(result);
      if (settings.store !== undefined) await save(ctx, settings.store, settings);
    }
    return result;
  } catch (thrown) {
    return refuse(ctx, thrown);
  } finally {
    contextInternals.release(ctx);
  }
}

/**
 * Saves the row of a connection, unless Lambda's time is over: the service has then refused the client and sends no
 * `$disconnect`.
 * @throws {LiftError} CONNECTION_CLOSED when `$disconnect` came first, TOO_MANY_CONNECTIONS, STORE_FAILED, TIMEOUT
 */
async function save(ctx: AnyContext, store: ConnectionStore, settings: Settings): Promise<void> {
  if (ctx.remainingTime() <= 0) throw new LiftError("TIMEOUT");
  const { connectedAt, identity } = ctx.event.requestContext;
  const row: Connection = {
    id: ctx.connectionId,
    ...(ctx.userId === undefined ? {} : { userId: ctx.userId }),
    ...(ctx.tenantId === undefined ? {} : { tenantId: ctx.tenantId }),
    metadata: contextInternals.metadataOf(ctx),
    state: contextInternals.stateOf(ctx)?.initialState() ?? {},
    sourceIp: identity.sourceIp,
    ...(identity.userAgent === undefined ? {} : { userAgent: identity.userAgent }),
    endpoint: endpointOf(ctx.event),
    connectedAt,
    expiresAt: rowExpiry(connectedAt, settings.lifetimeMs),
  };
  if (!(await fromStore(store.save(row, ctx.lambda)))) throw new LiftError("CONNECTION_CLOSED");
  if (ctx.remainingTime() > 0) return;
  await fromStore(store.delete(row.id));
  throw new LiftError("TIMEOUT");
}
