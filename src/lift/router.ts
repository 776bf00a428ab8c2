import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { PostOutcome, WebSocketResult } from "../apigw/index.ts";
import { findOptionFault, type OptionChecks, standardSchema } from "../internal/options.ts";
import { accept, composePhases, inPhase, type Middleware, type Step, setResultOf } from "./compose.ts";
import { requestIdOf } from "./connections/error-frames.ts";
import {
  type AnyContext,
  type AnyState,
  type Context,
  contextInternals,
  type ReadAction,
} from "./context.ts";
import { invalidOption, LiftError } from "./errors.ts";
import type { MessageAction } from "./message-action.ts";
import { validate } from "./validate.ts";

/**
 * Return value of a handler: nothing, the context (`return ctx.status(401).json(…)`), a result as any Lambda returns it,
 * or the outcome of `ctx.reply`, which counts as nothing.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: most handlers have no return statement
export type HandlerResult = void | AnyContext | WebSocketResult | PostOutcome;

/**
 * Handles the events of one route.
 * @example
 * const echo: Handler = (ctx) => ctx.reply({ echo: ctx.body("text") });
 */
export type Handler<State extends object = AnyState, Input = unknown> = (
  ctx: Context<State, Input>,
) => HandlerResult | Promise<HandlerResult>;

/** Names the actions of an application that dispatches the messages of `$default` itself. */
export interface Actions {
  /** All action names, and `name:namespace` for each namespace: the keys that a rate limit may have. */
  readonly names: readonly string[];
  /** Reads the action from a message that is not validated. `undefined`, or an error, means that it names none. */
  read(ctx: AnyContext): MessageAction | undefined;
}

/** Options of a route. */
export interface RouteOptions {
  /** Middleware of this route, outermost first. It runs inside the app's own. Default: none. */
  readonly middleware?: readonly (Middleware | readonly Middleware[])[];
}

/** The options of all forms of a route. */
export interface AnyRouteOptions extends RouteOptions {
  readonly schema?: StandardSchemaV1;
  readonly input?: StandardSchemaV1;
  readonly output?: StandardSchemaV1;
}

const ROUTE_OPTIONS: OptionChecks<AnyRouteOptions> = {
  middleware: { test: Array.isArray, expected: "an array of middleware" },
  schema: standardSchema,
  input: standardSchema,
  output: standardSchema,
};

interface Route {
  readonly middleware: readonly Middleware[];
  readonly handler: Step;
}

/** The composed middleware and handler of one route. */
export interface Chain {
  /** The registered key. */
  readonly key: string;
  readonly observers: readonly Middleware[];
  /** The guards, the other middleware and the handler. */
  readonly step: Step;
  /** Whether `step` returns the handler's result, which the caller sets. Otherwise a middleware needs it set earlier. */
  readonly returnsResult: boolean;
  /** Set for `$default` in an app with `actions`. */
  readonly readAction: ReadAction | undefined;
}

/** The chains of an app. */
export interface Routes {
  readonly connect: Chain;
  readonly disconnect: Chain;
  /** Returns the chain of a route key. Fallbacks: `$default`, the default handler, a NOT_FOUND error. */
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
      throw new LiftError("INVALID_ROUTE", { message: "A route key must be a non-empty string" });
    }
    if (this.#routes.has(key)) {
      throw new LiftError("ROUTE_EXISTS", { message: `The route \`${key}\` is already registered` });
    }
    this.#routes.set(key, route);
  }

  /**
   * Composes the chain of each route.
   * @param identify wraps the steps of a message that need its identity; guards run before it
   * @throws {LiftError} INVALID_OPTION when a middleware names a route that does not exist
   */
  compile(
    defaultHandler: Step | undefined,
    identify: (inner: Step) => Step,
    actions: Actions | undefined,
  ): Routes {
    this.#assertRoutesExist(new Set([...this.keys, "$default", ...(actions?.names ?? [])]));
    const readAction: ReadAction | undefined = actions && ((ctx) => actions.read(ctx));
    const chain = (key: string, fallback: Step): Chain => {
      const route = this.#routes.get(key) ?? { middleware: [], handler: fallback };
      const all = [...this.#middleware, ...route.middleware];
      const observers = inPhase(all, "observer");
      const returnsResult = !isLifecycle(key) && all.length === observers.length;
      const handler = returnsResult ? route.handler : setResultOf(route.handler);
      return {
        key,
        observers,
        step: composePhases(all, handler, isLifecycle(key) ? undefined : identify),
        returnsResult,
        readAction: key === "$default" ? readAction : undefined,
      };
    };
    const connect = chain("$connect", accept);
    const disconnect = chain("$disconnect", accept);
    const fallback = chain("$default", defaultHandler ?? notFound);
    const messages = new Map(
      this.keys.filter((key) => !isLifecycle(key)).map((key) => [key, chain(key, notFound)]),
    );
    return { connect, disconnect, message: (routeKey) => messages.get(routeKey) ?? fallback };
  }

  /** A limit for a route that does not exist would count nothing, and nobody would notice. */
  #assertRoutesExist(known: ReadonlySet<string>): void {
    const all = [this.#middleware, ...[...this.#routes.values()].map(({ middleware }) => middleware)].flat();
    for (const name of all.flatMap(({ routes = [] }) => routes)) {
      if (known.has(name)) continue;
      throw invalidOption(
        `A middleware names the route \`${name}\`, which does not exist; expected one of ${[...known].join(", ")}`,
      );
    }
  }
}

/** Returns whether a key belongs to the connection's lifecycle, so that no message can select it. */
export function isLifecycle(key: string): boolean {
  return key === "$connect" || key === "$disconnect";
}

/** @throws {LiftError} INVALID_ROUTE */
export function checkRouteOptions(key: string, options: AnyRouteOptions): void {
  const fault = findOptionFault(options, ROUTE_OPTIONS) ?? findContradiction(key, options);
  if (fault !== undefined) throw new LiftError("INVALID_ROUTE", { message: `Route \`${key}\`: ${fault}` });
}

function findContradiction(key: string, { schema, input, output }: AnyRouteOptions): string | undefined {
  if (isLifecycle(key) && (schema ?? input ?? output) !== undefined) return "it has no message to validate";
  if (input !== undefined && output === undefined) return "`input` needs `output`";
  if (schema !== undefined && output !== undefined) return "`schema` and `output` cannot be combined";
  return undefined;
}

/** Returns the innermost step: it validates the message if there is a schema, and returns the handler's result. */
export function handlerStep(handler: Handler<AnyState>, schema?: StandardSchemaV1, field?: string): Step {
  if (schema === undefined) return handler;
  return async (ctx) => {
    const input = field === undefined ? ctx.bind(schema) : validate(schema, ctx.body(field) ?? null, [field]);
    contextInternals.setInput(ctx, await input);
    return handler(ctx);
  };
}

/** Returns the innermost step of a route that answers: what its handler returns is sent as the response. */
export function callStep(
  handler: (ctx: AnyContext) => unknown,
  input: StandardSchemaV1 | undefined,
  output: StandardSchemaV1,
): Step {
  return handlerStep(respondWith(handler, output), input, "payload");
}

/** A result that does not match its schema is the application's fault, not the client's. */
function respondWith(handler: (ctx: AnyContext) => unknown, output: StandardSchemaV1): Handler<AnyState> {
  return async (ctx) => {
    const returned = await handler(ctx);
    let data: unknown;
    try {
      data = await validate(output, returned);
    } catch (cause) {
      throw new LiftError("INTERNAL_ERROR", { cause });
    }
    await ctx.reply({ type: "response", request_id: requestIdOf(ctx), success: true, data: data ?? null });
  };
}

function notFound(): never {
  throw new LiftError("NOT_FOUND");
}
