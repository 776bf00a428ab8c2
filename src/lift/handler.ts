import {
  isConnectEvent,
  isDisconnectEvent,
  isSuccess,
  isWebSocketEvent,
  type LambdaContext,
  type WebSocketResult,
} from "../apigw/index.ts";
import type { Connection, ConnectionStore } from "../store/index.ts";
import type { Step } from "./compose.ts";
import {
  type AnyContext,
  adoptRow,
  authorize,
  Context,
  end,
  isAnswered,
  metadataOf,
  resultOf,
  stateOf,
} from "./context.ts";
import { untilDeadline } from "./deadline.ts";
import { connectionsOf, endpointOf } from "./delivery.ts";
import { clientError, LiftError } from "./errors.ts";
import { errorBody, errorFrame } from "./frames.ts";
import type { Settings } from "./options.ts";
import type { Routes } from "./router.ts";
import { fromStore } from "./state.ts";

/** How long after the longest lifetime a row still stands, for a `$disconnect` that comes late. */
const ROW_GRACE_MS = 10 * 60 * 1000;

/** Runs one event through its chain: what `webSocketHandler` hands to Lambda. */
export function handleEvent(
  event: unknown,
  lambda: LambdaContext,
  routes: Routes,
  settings: Settings,
): Promise<WebSocketResult> {
  if (!isWebSocketEvent(event)) return Promise.reject(new LiftError("NOT_WEBSOCKET"));
  const ctx: AnyContext = new Context(event, lambda, settings);
  if (isConnectEvent(event)) return connect(ctx, routes.connect, settings);
  if (isDisconnectEvent(event)) return disconnect(ctx, routes.disconnect, settings);
  return message(ctx, routes.message(event.requestContext.routeKey), settings);
}

async function connect(ctx: AnyContext, chain: Step, settings: Settings): Promise<WebSocketResult> {
  try {
    authorize(ctx);
    adoptRow(ctx, undefined);
    await chain(ctx);
    if (!isAnswered(ctx)) {
      const message = "On $connect a middleware either calls next() or sets a status: the client is refused";
      throw new LiftError("INVALID_RESULT", { message });
    }
    if (settings.store !== undefined && isSuccess(ctx.statusCode)) await save(ctx, settings.store, settings);
    return resultOf(ctx);
  } catch (thrown) {
    return refusal(ctx, thrown);
  } finally {
    end(ctx);
  }
}

/** @throws {LiftError} CONNECTION_CLOSED when `$disconnect` was here first, STORE_FAILED */
async function save(ctx: AnyContext, store: ConnectionStore, settings: Settings): Promise<void> {
  const { connectedAt, identity } = ctx.event.requestContext;
  const row: Connection = {
    id: ctx.connectionId,
    ...(ctx.userId === undefined ? {} : { userId: ctx.userId }),
    ...(ctx.tenantId === undefined ? {} : { tenantId: ctx.tenantId }),
    metadata: metadataOf(ctx),
    state: stateOf(ctx)?.initial() ?? {},
    sourceIp: identity.sourceIp,
    ...(identity.userAgent === undefined ? {} : { userAgent: identity.userAgent }),
    endpoint: endpointOf(ctx.event),
    connectedAt,
    expiresAt: connectedAt + settings.lifetimeMs + ROW_GRACE_MS,
  };
  if (!(await fromStore(store.save(row)))) throw new LiftError("CONNECTION_CLOSED");
}

async function message(ctx: AnyContext, chain: Step, settings: Settings): Promise<WebSocketResult> {
  try {
    const { store } = settings;
    if (!authorize(ctx) && store !== undefined) {
      const { connectionId, requestTimeEpoch } = ctx.event.requestContext;
      const row = store.peek
        ? store.peek(connectionId, requestTimeEpoch)
        : await fromStore(store.get(connectionId));
      adoptRow(ctx, row);
    }
    const outcome = chain(ctx);
    if (outcome !== undefined) await outcome;
    const state = stateOf(ctx);
    if (state?.dirty) await state.flush();
    return resultOf(ctx);
  } catch (thrown) {
    await postError(ctx, thrown, settings);
    return { statusCode: 200 };
  } finally {
    end(ctx);
  }
}

/** What the handler sets now is not written: the row goes, whatever the handler did. */
async function disconnect(ctx: AnyContext, chain: Step, settings: Settings): Promise<WebSocketResult> {
  const { store, deadlineMarginMs } = settings;
  let result: WebSocketResult | undefined;
  try {
    authorize(ctx);
    if (store !== undefined) adoptRow(ctx, await fromStore(store.get(ctx.connectionId)));
  } catch (thrown) {
    result = refusal(ctx, thrown);
  }
  try {
    const outcome = chain(ctx);
    if (outcome !== undefined) await untilDeadline(outcome, ctx.lambda, deadlineMarginMs);
  } catch (thrown) {
    result = refusal(ctx, thrown);
  }
  try {
    if (store !== undefined) await fromStore(store.delete(ctx.connectionId));
  } catch (thrown) {
    result = refusal(ctx, thrown);
  }
  end(ctx);
  return result ?? resultOf(ctx);
}

function refusal(ctx: AnyContext, thrown: unknown): WebSocketResult {
  const error = log(ctx, thrown);
  return { statusCode: error.status, body: errorBody(error) };
}

async function postError(ctx: AnyContext, thrown: unknown, settings: Settings): Promise<void> {
  const frame = errorFrame(ctx, log(ctx, thrown));
  try {
    await connectionsOf(ctx.event, settings).post(ctx.connectionId, frame);
  } catch (error) {
    ctx.logger.error("The error frame was not sent", { error });
  }
}

function log(ctx: AnyContext, thrown: unknown): LiftError {
  const error = clientError(thrown);
  const fields = { code: error.code, status: error.status, error: thrown };
  if (error.status >= 500) ctx.logger.error("The event failed", fields);
  else ctx.logger.warn("The event was refused", fields);
  return error;
}
