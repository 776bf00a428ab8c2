import { type AnyContext, begin, latest, reach, unawaited } from "./context.ts";
import { LiftError } from "./errors.ts";
import type { ScheduledAction, ScheduledEntry } from "./scheduler/tick.ts";

/** Runs what stands further in. Once only. */
export type Next = () => Promise<void>;

/**
 * Stands around the handler of every route: `(ctx, next) => { …; await next(); … }`. Without `next()` the
 * handler does not run; on `$connect` the middleware must then have set a status. What it returns is ignored.
 */
// biome-ignore lint/suspicious/noExplicitAny: a middleware that does not name a State fits every app
export interface Middleware<State extends object = any> {
  (ctx: AnyContext<State>, next: Next): unknown;
  readonly phase?: Phase;
  /** The message routes that its options name. An app without one of them refuses its first event. */
  readonly routes?: readonly string[];
  /** What it does with items that it has put into the app's schedule, by their kind: `app.use` registers it. */
  readonly scheduled?: { readonly [kind: string]: ScheduledAction | ScheduledEntry };
}

/**
 * Where a middleware runs, whatever the order of `use`; without one, around the handler.
 * - `observer`: outside of all others. Its `next()` never rejects, and leaves `ctx.outcome`: what the client got,
 *   whoever decided it. It decides nothing: what it throws is logged, and the event goes on.
 * - `guard`: before all others, and before a message's row is read. It refuses by throwing what needs no identity
 *   to be refused.
 */
export type Phase = "observer" | "guard";

/** A link of a composed chain. It returns a promise only where something in it is asynchronous. */
export type Step = (ctx: AnyContext) => unknown;

/**
 * Nests `middleware` around `inner`, the first outermost. Done once per route; an event only walks it.
 * @param isHandler whether `inner` is a route's handler, which tells of its failure itself
 */
export function compose(middleware: readonly Middleware[], inner: Step, isHandler = false): Step {
  return middleware.reduceRight<Step>((step, outer) => nest(outer, step, isHandler && step === inner), inner);
}

function nest(middleware: Middleware, inner: Step, isLast: boolean): Step {
  return (ctx) => {
    let inside: Promise<void> | undefined;
    let outcome: unknown;
    const next = (): Promise<void> => {
      if (inside !== undefined) return calledTwice(ctx);
      if (isLast) reach(ctx, () => outcome);
      const before = latest(ctx);
      try {
        inside = asPromise(inner(ctx));
        // Whoever forgets to await it must not end the process by its error. It costs, so only where it may fail unheard.
        if (!isLast) inside.then(undefined, ignore);
      } catch (thrown) {
        inside = Promise.reject(thrown);
        unawaited(ctx).failed(thrown, () => outcome, inside);
      }
      if (latest(ctx) === before) begin(ctx, inside);
      return inside;
    };
    outcome = middleware(ctx, next);
    return isThenable(outcome) ? outcome : inside;
  };
}

/** So that `next().finally(…)` works around any step. */
function asPromise(outcome: unknown): Promise<void> {
  return outcome instanceof Promise ? outcome : Promise.resolve(outcome as undefined);
}

function calledTwice(ctx: AnyContext): Promise<void> {
  const error = new LiftError("NEXT_CALLED_TWICE");
  unawaited(ctx).misused(error);
  const refused = Promise.reject(error);
  refused.catch(ignore);
  return refused;
}

function ignore(): void {}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return value instanceof Promise || typeof (value as { then?: unknown } | undefined)?.then === "function";
}
