import {
  isConnectEvent,
  isDisconnectEvent,
  isWebSocketEvent,
  type LambdaContext,
  type WebSocketEvent,
  type WebSocketResult,
} from "../apigw/index.ts";
import { noteHiddenFailure } from "../internal/hidden-failures.ts";
import type { ConnectionStore } from "../store/index.ts";
import { AppContext } from "./app-context.ts";
import { isThenable, type Middleware, observeAll, runToEnd, type Step } from "./compose.ts";
import { runConnect } from "./connect/event.ts";
import { type AnyContext, contextInternals } from "./context.ts";
import { untilDeadline } from "./deadline.ts";
import { clientError, LiftError } from "./errors.ts";
import { postError, refuse } from "./event-failure.ts";
import { fromStore, StoredState } from "./event-state.ts";
import type { Chain, Routes } from "./router.ts";
import type { AppSettings } from "./settings.ts";

/** Runs one event through the chain of its route. */
export function handleEvent(
  event: unknown,
  lambda: LambdaContext,
  routes: Routes,
  settings: AppSettings,
): Promise<WebSocketResult> {
  if (!isWebSocketEvent(event)) return Promise.reject(new LiftError("NOT_WEBSOCKET"));
  const chain = selectChain(event, routes);
  const ctx = new AppContext(event, lambda, settings, chain.key, chain.readAction);
  return chain.observers.length === 0 ? run(ctx, chain) : runObserved(ctx, chain);
}

function selectChain(event: WebSocketEvent, routes: Routes): Chain {
  if (isConnectEvent(event)) return routes.connect;
  if (isDisconnectEvent(event)) return routes.disconnect;
  return routes.message(event.requestContext.routeKey);
}

function run(ctx: AnyContext, chain: Chain): Promise<WebSocketResult> {
  if (isConnectEvent(ctx.event)) return runConnect(ctx, chain.step);
  if (isDisconnectEvent(ctx.event)) return disconnect(ctx, chain.step);
  return message(ctx, chain);
}

/**
 * Runs work of a stored request inside middleware, as an event's handler runs inside it. Its failure is the outcome that
 * observers see, and rejects; nothing is sent.
 */
export async function runDetached(
  ctx: AnyContext,
  observers: readonly Middleware[],
  step: Step,
): Promise<void> {
  let failure: { readonly thrown: unknown } | undefined;
  await observeAll(ctx, observers, async () => {
    try {
      await runToEnd(ctx, step);
    } catch (thrown) {
      failure = { thrown };
      contextInternals.recordFailure(ctx, clientError(thrown));
    } finally {
      contextInternals.release(ctx);
    }
  });
  if (failure !== undefined) throw failure.thrown;
}

function runObserved(ctx: AnyContext, chain: Chain): Promise<WebSocketResult> {
  return observeAll(ctx, chain.observers, () => run(ctx, chain));
}

/** Returns a step that establishes the identity of a message's connection, then runs `inner`. */
export function identifyFirst(inner: Step): Step {
  return (ctx) => {
    const { store } = contextInternals.settingsOf(ctx);
    if (contextInternals.adoptAuthorizer(ctx) || store === undefined) return inner(ctx);
    if (store.peek === undefined) return identifyFromStore(ctx, store, inner);
    const { connectionId, requestTimeEpoch } = ctx.event.requestContext;
    contextInternals.adoptRow(ctx, store.peek(connectionId, requestTimeEpoch));
    return inner(ctx);
  };
}

async function identifyFromStore(ctx: AnyContext, store: ConnectionStore, inner: Step): Promise<unknown> {
  contextInternals.adoptRow(ctx, await fromStore(store.get(ctx.connectionId, ctx.lambda)));
  return inner(ctx);
}

async function message(ctx: AnyContext, { step, returnsResult }: Chain): Promise<WebSocketResult> {
  try {
    const returned = step(ctx);
    const result = isThenable(returned) ? await returned : returned;
    if (returnsResult) contextInternals.setResult(ctx, result);
    const unfinished = contextInternals.unfinishedNext(ctx);
    if (unfinished !== undefined) await unfinished;
    const state = contextInternals.stateOf(ctx);
    if (state instanceof StoredState && state.isDirty) await state.flush();
    return contextInternals.resultOf(ctx);
  } catch (thrown) {
    await postError(ctx, thrown);
    noteHiddenFailure(ctx.event, ctx.outcome.statusCode);
    return { statusCode: 200 };
  } finally {
    contextInternals.release(ctx);
  }
}

/** State that the handler sets is not written, because the row is deleted whether or not the handler succeeds. */
async function disconnect(ctx: AnyContext, step: Step): Promise<WebSocketResult> {
  const { store, deadlineMarginMs } = contextInternals.settingsOf(ctx);
  let result: WebSocketResult | undefined;
  try {
    contextInternals.adoptAuthorizer(ctx);
    if (store !== undefined) {
      // A send that found the connection gone may already have removed the row.
      const row = await fromStore(store.get(ctx.connectionId, ctx.lambda, { removed: true }));
      contextInternals.adoptRow(ctx, row);
    }
  } catch (thrown) {
    result = refuse(ctx, thrown);
  }
  try {
    await untilDeadline(runToEnd(ctx, step), ctx.lambda, deadlineMarginMs);
  } catch (thrown) {
    result = refuse(ctx, thrown);
  }
  try {
    if (store !== undefined) await fromStore(store.delete(ctx.connectionId, ctx.lambda));
  } catch (thrown) {
    result = refuse(ctx, thrown);
  }
  contextInternals.release(ctx);
  return result ?? contextInternals.resultOf(ctx);
}
