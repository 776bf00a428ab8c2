import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { PostOutcome, WebSocketResult } from "../apigw/index.ts";
import { compose, isThenable, type Middleware, type Phase, type Step } from "./compose.ts";
import { type AnyContext, type AnyState, type Context, handlerFailed, setInput, settle } from "./context.ts";
import { LiftError } from "./errors.ts";

/**
 * Nothing, the context (`return ctx.status(401).json(…)`), a result as any Lambda returns it, or what `ctx.reply`
 * resolves to, which counts as nothing.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler without a return statement is the usual one
export type HandlerResult = void | AnyContext | WebSocketResult | PostOutcome;

export type Handler<State extends object = AnyState, Input = unknown> = (
  ctx: Context<State, Input>,
) => HandlerResult | Promise<HandlerResult>;

interface Route {
  readonly middleware: readonly Middleware[];
  readonly handler: Step;
}

/** What an event of one route runs through. */
export interface Chain {
  /** The registered key. */
  readonly key: string;
  readonly observers: readonly Middleware[];
  /** Everything else, composed. */
  readonly step: Step;
}

/** The chains of an app. */
export interface Routes {
  readonly connect: Chain;
  readonly disconnect: Chain;
  /** The chain of a message's route key; else `$default`'s, the default handler's, or one that says NOT_FOUND. */
  message(routeKey: string): Chain;
}

export class Router {
  readonly #routes = new Map<string, Route>();
  readonly #middleware: Middleware[] = [];

  get keys(): string[] {
    return [...this.#routes.keys()];
  }

  use(middleware: readonly Middleware[]): void {
    this.#middleware.push(...middleware);
  }

  /** @throws {LiftError} ROUTE_EXISTS, INVALID_ROUTE */
  add(key: string, route: Route): void {
    if (typeof key !== "string" || key === "") {
      throw new LiftError("INVALID_ROUTE", { message: "A route's key is a string that is not empty" });
    }
    if (this.#routes.has(key)) {
      throw new LiftError("ROUTE_EXISTS", { message: `The route ${key} is registered already` });
    }
    this.#routes.set(key, route);
  }

  /**
   * @param identify stands between the guards of a message and the rest
   * @param actions what messages of `$default` may ask for
   * @throws {LiftError} INVALID_OPTION where a middleware names a route that does not exist
   */
  compile(
    defaultHandler: Step | undefined,
    identify: (inner: Step) => Step,
    actions: readonly string[] = [],
  ): Routes {
    this.#assertRoutes(new Set([...this.keys, "$default", ...actions]));
    const chain = (key: string, otherwise: Step): Chain => {
      const route = this.#routes.get(key) ?? { middleware: [], handler: otherwise };
      const all = [...this.#middleware, ...route.middleware];
      const at = (place?: Phase) => all.filter((middleware) => middleware.phase === place);
      const inner = compose(at(), route.handler, true);
      const step = compose(at("guard"), isLifecycle(key) ? inner : identify(inner));
      return { key, observers: at("observer"), step };
    };
    const connect = chain("$connect", accept);
    const disconnect = chain("$disconnect", accept);
    const fallback = chain("$default", defaultHandler ?? notFound);
    const messages = new Map(
      this.keys.filter((key) => !isLifecycle(key)).map((key) => [key, chain(key, notFound)]),
    );
    return { connect, disconnect, message: (routeKey) => messages.get(routeKey) ?? fallback };
  }

  /** A limit for a route that no message has would never count anything, and nobody would notice. */
  #assertRoutes(known: ReadonlySet<string>): void {
    const all = [this.#middleware, ...[...this.#routes.values()].map(({ middleware }) => middleware)].flat();
    for (const name of all.flatMap(({ routes = [] }) => routes)) {
      if (known.has(name)) continue;
      const message = `A middleware names the route ${name}; there are ${[...known].join(", ")}`;
      throw new LiftError("INVALID_OPTION", { message });
    }
  }
}

/** Whether a key is one that no message can select. */
export function isLifecycle(key: string): boolean {
  return key === "$connect" || key === "$disconnect";
}

/** The innermost step: runs a handler, after its schema, and takes its answer. */
export function handlerStep(handler: Handler<AnyState>, schema?: StandardSchemaV1): Step {
  if (schema !== undefined) {
    return (ctx) =>
      settleLater(
        ctx,
        setInput(ctx, schema).then(() => handler(ctx)),
      );
  }
  return (ctx) => {
    const answer = handler(ctx);
    if (isThenable(answer)) return settleLater(ctx, answer);
    settle(ctx, answer);
  };
}

async function settleLater(ctx: AnyContext, answer: PromiseLike<HandlerResult>): Promise<void> {
  try {
    settle(ctx, await answer);
  } catch (thrown) {
    handlerFailed(ctx, thrown);
    throw thrown;
  }
}

/** `$connect` and `$disconnect` are optional, as they are on the service. */
function accept(ctx: AnyContext): void {
  settle(ctx, undefined);
}

function notFound(): never {
  throw new LiftError("NOT_FOUND");
}
