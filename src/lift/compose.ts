import { logSafely } from "../internal/log-safely.ts";
import { type AnyContext, contextInternals } from "./context.ts";
import { LiftError } from "./errors.ts";
import type { ScheduledAction, ScheduledEntry } from "./scheduler/scheduled-action.ts";

/** Runs the rest of the chain. A middleware may call it once, and should await it. */
export type Next = () => Promise<void>;

/**
 * Wraps the handlers of all routes. Without `next()` the handler does not run; on `$connect` the middleware must then set
 * a status. Its return value is ignored.
 * @example
 * const timing: Middleware = async (ctx, next) => {
 *   const start = performance.now();
 *   await next();
 *   ctx.logger.info("handled", { ms: performance.now() - start });
 * };
 */
// biome-ignore lint/suspicious/noExplicitAny: a middleware that does not name a State fits every app
export interface Middleware<State extends object = any> {
  (ctx: AnyContext<State>, next: Next): unknown;
  /** Phase in which it runs, whatever the order of `use`. Default: around the handler, in the order of `use`. */
  readonly phase?: Phase;
  /** Message routes that its options name. An app that lacks one of them rejects its first event. */
  readonly routes?: readonly string[];
  /** Actions for the items that it puts into the app's schedule, by kind. `app.use` registers them. */
  readonly scheduled?: { readonly [kind: string]: ScheduledAction | ScheduledEntry };
}

/**
 * Phase of a middleware that does not run around the handler.
 * - `observer`: outside of all others. Its `next()` never rejects, and afterwards `ctx.outcome` has what the client got.
 *   It cannot change the outcome: an error that it throws is logged, and the event continues.
 * - `guard`: inside the observers, before all other middleware and before a message's row is read. It rejects an event by
 *   throwing. Use it for checks that do not need the user.
 */
export type Phase = "observer" | "guard";

/** One step of a composed chain. It returns a promise only when it is asynchronous. */
export type Step = (ctx: AnyContext) => unknown;

/**
 * Nests `middleware` around `inner`, the first one outermost. The router calls it when it compiles the app, so that an
 * event only walks the chain.
 * @param isHandler whether `inner` is a route's handler, which reports its own errors
 */
export function compose(middleware: readonly Middleware[], inner: Step, isHandler = false): Step {
  return middleware.reduceRight<Step>((step, outer) => nest(outer, step, isHandler && step === inner), inner);
}

function nest(middleware: Middleware, inner: Step, isInnermost: boolean): Step {
  return (ctx) => {
    let inside: Promise<void> | undefined;
    let returned: unknown;
    const next = (): Promise<void> => {
      if (inside !== undefined) return rejectSecondCall(ctx);
      const tracker = contextInternals.nextTracker(ctx);
      if (isInnermost) tracker.enterHandler(() => returned);
      const before = tracker.last;
      try {
        inside = toPromise(inner(ctx));
        // A middleware that does not await a failing next() must not end the process. The handler reports its own errors.
        if (!isInnermost) inside.then(undefined, ignore);
      } catch (thrown) {
        inside = Promise.reject(thrown);
        tracker.recordError(thrown, () => returned, inside);
      }
      if (tracker.last === before) tracker.track(inside);
      return inside;
    };
    returned = middleware(ctx, next);
    return isThenable(returned) ? returned : inside;
  };
}

/**
 * Nests the guards, then the other middleware around a route's handler.
 * @param identify wraps the steps inside of the guards
 */
export function composePhases(
  middleware: readonly Middleware[],
  handler: Step,
  identify: (inner: Step) => Step = (inner) => inner,
): Step {
  return compose(inPhase(middleware, "guard"), identify(compose(inPhase(middleware), handler, true)));
}

/** Returns the middleware of a phase; without one, those that run around the handler. */
export function inPhase(middleware: readonly Middleware[], phase?: Phase): Middleware[] {
  return middleware.filter((each) => each.phase === phase);
}

/** Returns a step that runs a handler and sets its result, for chains with middleware. */
export function setResultOf(handler: Step): Step {
  return (ctx) => {
    const returned = handler(ctx);
    if (isThenable(returned)) return setResultLater(ctx, returned);
    contextInternals.setResult(ctx, returned);
  };
}

async function setResultLater(ctx: AnyContext, returned: PromiseLike<unknown>): Promise<void> {
  try {
    contextInternals.setResult(ctx, await returned);
  } catch (thrown) {
    contextInternals.recordHandlerError(ctx, thrown);
    throw thrown;
  }
}

/** Runs `work` inside observers. An observer that fails or does not call `next()` does not affect it. */
export async function observeAll<Result>(
  ctx: AnyContext,
  observers: readonly Middleware[],
  work: () => Promise<Result>,
): Promise<Result> {
  const observe = async (index: number): Promise<Result> => {
    const observer = observers[index];
    if (observer === undefined) return work();
    let inside: Promise<Result> | undefined;
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

/** Runs a chain, and waits for `next()` calls that nobody awaited. See `NextTracker.unfinished`. */
export async function runToEnd(ctx: AnyContext, step: Step): Promise<void> {
  await step(ctx);
  await contextInternals.unfinishedNext(ctx);
}

/** Makes `next().finally(…)` work around any step. */
function toPromise(returned: unknown): Promise<void> {
  return returned instanceof Promise ? returned : Promise.resolve(returned as undefined);
}

function rejectSecondCall(ctx: AnyContext): Promise<void> {
  const error = new LiftError("NEXT_CALLED_TWICE");
  contextInternals.nextTracker(ctx).recordMisuse(error);
  const rejected = Promise.reject(error);
  rejected.catch(ignore);
  return rejected;
}

/** The handler of `$connect` and `$disconnect` when there is none: they are optional, as they are on the service. */
export function accept(): void {}

function ignore(): void {}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return value instanceof Promise || typeof (value as { then?: unknown } | undefined)?.then === "function";
}
