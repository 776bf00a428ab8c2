import type { AnyContext } from "./context.ts";
import { LiftError } from "./errors.ts";

/** Runs what stands further in. Once only. */
export type Next = () => Promise<void>;

/**
 * Stands around the handler of every route: `(ctx, next) => { …; await next(); … }`. Without `next()` the
 * handler does not run; on `$connect` the middleware must then have set a status. What it returns is ignored.
 */
// biome-ignore lint/suspicious/noExplicitAny: a middleware that does not name a State fits every app
export interface Middleware<State extends object = any> {
  (ctx: AnyContext<State>, next: Next): unknown;
  readonly place?: Place;
}

/**
 * Where a middleware runs, whatever the order of `use`; without one, around the handler.
 * - `observer`: outside of all others. Its `next()` never rejects, and leaves `ctx.outcome`: what the client got,
 *   whoever decided it. It decides nothing: what it throws is logged, and the event goes on.
 * - `guard`: before all others, and before a message's row is read. It refuses by throwing what needs no identity
 *   to be refused.
 */
export type Place = "observer" | "guard";

/** A link of a composed chain. It returns a promise only where something in it is asynchronous. */
export type Step = (ctx: AnyContext) => unknown;

/** Nests `middleware` around `handler`, the first outermost. Done once per route; an event only walks it. */
export function compose(middleware: readonly Middleware[], handler: Step): Step {
  return middleware.reduceRight<Step>((inner, outer) => nest(outer, inner), handler);
}

function nest(middleware: Middleware, inner: Step): Step {
  return (ctx) => {
    let inside: Promise<void> | undefined;
    const outcome = middleware(ctx, () => {
      if (inside !== undefined) return Promise.reject(new LiftError("NEXT_CALLED_TWICE"));
      inside = asPromise(inner, ctx);
      return inside;
    });
    // A middleware that forgets to return next() must not end the event before its handler.
    return outcome ?? inside;
  };
}

/** A step's outcome as a promise, so that `next().finally(…)` works around a handler that throws at once. */
function asPromise(step: Step, ctx: AnyContext): Promise<void> {
  try {
    const outcome = step(ctx);
    return outcome instanceof Promise ? outcome : Promise.resolve(outcome as undefined);
  } catch (thrown) {
    return Promise.reject(thrown);
  }
}
