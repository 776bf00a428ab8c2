import {
  ConnectionsError,
  isConnectEvent,
  isDisconnectEvent,
  isSuccess,
  isWebSocketEvent,
  type LambdaContext,
  type WebSocketEvent,
  type WebSocketResult,
} from "../apigw/index.ts";
import type { Connection, ConnectionStore } from "../store/index.ts";
import { checkAcceptance } from "./acceptance.ts";
import type { Step } from "./compose.ts";
import { connectionsOf, endpointOf } from "./connections/by-endpoint.ts";
import { errorBody, errorFrame } from "./connections/error-frames.ts";
import { rowExpiry } from "./connections/lifetime.ts";
import {
  type AnyContext,
  adoptRow,
  authorize,
  Context,
  end,
  fail,
  isAnswered,
  metadataOf,
  resultOf,
  settingsOf,
  stateOf,
  unfinished,
} from "./context.ts";
import { untilDeadline } from "./deadline.ts";
import { clientError, LiftError, refusalStatus, withoutStack } from "./errors.ts";
import { fromStore } from "./event-state.ts";
import { logSafely } from "./logger.ts";
import type { Settings } from "./options.ts";
import type { Chain, Routes } from "./router.ts";

/** Runs one event through its chain: what `webSocketHandler` hands to Lambda. */
export function handleEvent(
  event: unknown,
  lambda: LambdaContext,
  routes: Routes,
  settings: Settings,
): Promise<WebSocketResult> {
  if (!isWebSocketEvent(event)) return Promise.reject(new LiftError("NOT_WEBSOCKET"));
  const chain = chainOf(event, routes);
  const ctx: AnyContext = new Context(event, lambda, settings, chain.key);
  return chain.observers.length === 0 ? run(ctx, chain.step) : runObserved(ctx, chain);
}

function chainOf(event: WebSocketEvent, routes: Routes): Chain {
  if (isConnectEvent(event)) return routes.connect;
  if (isDisconnectEvent(event)) return routes.disconnect;
  return routes.message(event.requestContext.routeKey);
}

function run(ctx: AnyContext, step: Step): Promise<WebSocketResult> {
  if (isConnectEvent(ctx.event)) return connect(ctx, step);
  if (isDisconnectEvent(ctx.event)) return disconnect(ctx, step);
  return message(ctx, step);
}

/** Runs an event inside of its observers. One that fails, or forgets `next()`, fails for itself alone. */
async function runObserved(ctx: AnyContext, { observers, step }: Chain): Promise<WebSocketResult> {
  const observe = async (index: number): Promise<WebSocketResult> => {
    const observer = observers[index];
    if (observer === undefined) return run(ctx, step);
    let inside: Promise<WebSocketResult> | undefined;
    const next = () => {
      inside ??= observe(index + 1);
      return inside;
    };
    try {
      await observer(ctx, async () => void (await next()));
    } catch (error) {
      logSafely(ctx.logger, "error", "An observer failed", { error });
    }
    return next();
  };
  return observe(0);
}

async function connect(ctx: AnyContext, step: Step): Promise<WebSocketResult> {
  try {
    authorize(ctx);
    adoptRow(ctx, undefined);
    await runToEnd(ctx, step);
    if (!isAnswered(ctx)) {
      const message = "On $connect a middleware either calls next() or sets a status: the client is refused";
      throw new LiftError("INVALID_RESULT", { message });
    }
    const settings = settingsOf(ctx);
    const result = resultOf(ctx);
    if (isSuccess(result.statusCode)) {
      checkAcceptance(result);
      if (settings.store !== undefined) await save(ctx, settings.store, settings);
    }
    return result;
  } catch (thrown) {
    return refusal(ctx, thrown);
  } finally {
    end(ctx);
  }
}

/**
 * Keeps a connection, unless the time is over: its client has been refused by then, and no `$disconnect` comes.
 * @throws {LiftError} CONNECTION_CLOSED when `$disconnect` was here first, TOO_MANY_CONNECTIONS, STORE_FAILED, TIMEOUT
 */
async function save(ctx: AnyContext, store: ConnectionStore, settings: Settings): Promise<void> {
  if (ctx.remainingTime() <= 0) throw new LiftError("TIMEOUT");
  const { connectedAt, identity } = ctx.event.requestContext;
  const row: Connection = {
    id: ctx.connectionId,
    ...(ctx.userId === undefined ? {} : { userId: ctx.userId }),
    ...(ctx.tenantId === undefined ? {} : { tenantId: ctx.tenantId }),
    metadata: metadataOf(ctx),
    state: stateOf(ctx)?.initialState() ?? {},
    sourceIp: identity.sourceIp,
    ...(identity.userAgent === undefined ? {} : { userAgent: identity.userAgent }),
    endpoint: endpointOf(ctx.event),
    connectedAt,
    expiresAt: rowExpiry(ctx.event, settings),
  };
  if (!(await fromStore(store.save(row, ctx.lambda)))) throw new LiftError("CONNECTION_CLOSED");
  if (ctx.remainingTime() > 0) return;
  await fromStore(store.delete(row.id));
  throw new LiftError("TIMEOUT");
}

/** Tells a message whose connection it comes from, then goes on to `inner`. */
export function identifyFirst(inner: Step): Step {
  return (ctx) => {
    const { store } = settingsOf(ctx);
    if (authorize(ctx) || store === undefined) return inner(ctx);
    if (store.peek === undefined) return identifiedByRow(ctx, store, inner);
    const { connectionId, requestTimeEpoch } = ctx.event.requestContext;
    adoptRow(ctx, store.peek(connectionId, requestTimeEpoch));
    return inner(ctx);
  };
}

async function identifiedByRow(ctx: AnyContext, store: ConnectionStore, inner: Step): Promise<unknown> {
  adoptRow(ctx, await fromStore(store.get(ctx.connectionId, ctx.lambda)));
  return inner(ctx);
}

async function message(ctx: AnyContext, step: Step): Promise<WebSocketResult> {
  try {
    const outcome = step(ctx);
    if (outcome !== undefined) await outcome;
    const rest = unfinished(ctx);
    if (rest !== undefined) await rest;
    const state = stateOf(ctx);
    if (state?.isDirty) await state.flush();
    return resultOf(ctx);
  } catch (thrown) {
    await postError(ctx, thrown);
    return { statusCode: 200 };
  } finally {
    end(ctx);
  }
}

async function runToEnd(ctx: AnyContext, step: Step): Promise<void> {
  await step(ctx);
  await unfinished(ctx);
}

/** What the handler sets now is not written: the row goes, whatever the handler did. */
async function disconnect(ctx: AnyContext, step: Step): Promise<WebSocketResult> {
  const { store, deadlineMarginMs } = settingsOf(ctx);
  let result: WebSocketResult | undefined;
  try {
    authorize(ctx);
    if (store !== undefined) {
      // A send that found the connection gone may have been here first.
      adoptRow(ctx, await fromStore(store.get(ctx.connectionId, ctx.lambda, { removed: true })));
    }
  } catch (thrown) {
    result = refusal(ctx, thrown);
  }
  try {
    await untilDeadline(runToEnd(ctx, step), ctx.lambda, deadlineMarginMs);
  } catch (thrown) {
    result = refusal(ctx, thrown);
  }
  try {
    if (store !== undefined) await fromStore(store.delete(ctx.connectionId, ctx.lambda));
  } catch (thrown) {
    result = refusal(ctx, thrown);
  }
  end(ctx);
  return result ?? resultOf(ctx);
}

function refusal(ctx: AnyContext, thrown: unknown): WebSocketResult {
  const error = log(ctx, thrown);
  return { statusCode: refusalStatus(error.status), body: errorBody(error) };
}

async function postError(ctx: AnyContext, thrown: unknown): Promise<void> {
  const frame = errorFrame(ctx, log(ctx, thrown));
  try {
    await connectionsOf(ctx.event, settingsOf(ctx)).post(ctx.connectionId, frame, { budget: ctx.lambda });
  } catch (error) {
    logSampled(ctx, "error", "The error frame was not sent", { error });
  }
}

function log(ctx: AnyContext, thrown: unknown): LiftError {
  const error = clientError(thrown);
  fail(ctx, error);
  const { code, status } = error;
  const fields = { code, status, error: thrown };
  if (status < 500) logSampled(ctx, "warn", "The event was refused", fields);
  // The client does not read, or has gone.
  else if (thrown instanceof ConnectionsError) logSampled(ctx, "error", "The event failed", fields);
  else logSafely(ctx.logger, "error", "The event failed", fields);
  return error;
}

interface Failure {
  readonly code?: string;
  readonly status?: number;
  readonly error: unknown;
}

/** Logs what a client can cause as fast as it sends: in samples with their count, and without a stack. */
function logSampled(ctx: AnyContext, level: "warn" | "error", message: string, failure: Failure): void {
  const count = settingsOf(ctx).refusals.count(`${message} ${failure.code}`);
  if (count === undefined) return;
  logSafely(ctx.logger, level, message, { ...failure, count, error: withoutStack(failure.error) });
}
