import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Connections, LambdaContext, WebSocketEvent, WebSocketResult } from "../apigw/index.ts";
import type { ConnectionStore } from "../store/index.ts";
import type { Middleware } from "./compose.ts";
import type { AnyState } from "./context.ts";
import { LiftError } from "./errors.ts";
import { handleEvent, identified } from "./handler.ts";
import { type LiftOptions, readOptions, type Settings } from "./options.ts";
import { answering, type Handler, isLifecycle, Router, type Routes } from "./router.ts";

/** What every WebSocket event has, however loosely its type was written: `@types/aws-lambda`'s fits. */
export interface IncomingEvent {
  readonly requestContext: {
    readonly connectionId: string;
    readonly routeKey: string;
    readonly eventType: string;
  };
}

/** A Lambda handler for every event of a WebSocket API. */
export type WebSocketHandler = (
  event: WebSocketEvent | IncomingEvent,
  context: LambdaContext,
) => Promise<WebSocketResult>;

export interface HandlerOptions {
  /** How messages are sent. Default: the app's option, else the AWS SDK. */
  readonly connections?: Connections;
}

export interface RouteOptions {
  /** Run inside the app's own, first to last. */
  readonly middleware?: readonly (Middleware | readonly Middleware[])[];
}

export interface SchemaRouteOptions<Schema extends StandardSchemaV1> extends RouteOptions {
  /** Checks the message after the middleware and before the handler, which reads `ctx.input`. */
  readonly schema: Schema;
}

export type EventMethod = "CONNECT" | "MESSAGE" | "DISCONNECT";

/** An application: its routes and what stands around them. `State` names what a connection keeps. */
export class Lift<State extends object = AnyState> {
  readonly #settings: Settings;
  readonly #defaultHandler: Handler<State> | undefined;
  readonly #router = new Router();
  #routes: Routes | undefined;

  /** @throws {LiftError} INVALID_OPTION */
  constructor(options: LiftOptions<State> = {}) {
    this.#settings = readOptions(options);
    this.#defaultHandler = options.defaultHandler;
  }

  /** Every key that a host must send here. `$connect` and `$disconnect` are among them, registered or not. */
  get routeKeys(): string[] {
    const unmatched = this.#defaultHandler === undefined ? [] : ["$default"];
    return [...new Set(["$connect", "$disconnect", ...this.#router.keys, ...unmatched])];
  }

  /** The option. `lift-ws dev` carries what is in memory over to the app's next load. */
  get connectionStore(): ConnectionStore | undefined {
    return this.#settings.store;
  }

  /**
   * Puts middleware around every route, the first outermost, whether the route is registered before or after.
   * One with a `place` runs there, wherever it stands in the order.
   * @throws {LiftError} APP_STARTED
   */
  use(...middleware: (Middleware<State> | readonly Middleware<State>[])[]): this {
    this.#assertOpen();
    this.#router.use(middleware.flat());
    return this;
  }

  /**
   * Registers the handler of a route key: `$connect`, `$disconnect`, `$default` or any that messages select.
   * @throws {LiftError} ROUTE_EXISTS, INVALID_ROUTE, APP_STARTED
   */
  webSocket(key: string, handler: Handler<State>): this;
  webSocket<Schema extends StandardSchemaV1>(
    key: string,
    options: SchemaRouteOptions<Schema>,
    handler: Handler<State, StandardSchemaV1.InferOutput<Schema>>,
  ): this;
  webSocket(key: string, options: RouteOptions, handler: Handler<State>): this;
  webSocket(
    key: string,
    optionsOrHandler: Handler<State> | (RouteOptions & { schema?: StandardSchemaV1 }),
    handler?: Handler<State>,
  ): this {
    this.#assertOpen();
    const options = typeof optionsOrHandler === "function" ? {} : optionsOrHandler;
    const answer = typeof optionsOrHandler === "function" ? optionsOrHandler : handler;
    if (typeof answer !== "function") {
      throw new LiftError("INVALID_ROUTE", { message: `The route ${key} has no handler` });
    }
    if (options.schema !== undefined && isLifecycle(key)) {
      throw new LiftError("INVALID_ROUTE", { message: `${key} has no body for a schema to check` });
    }
    this.#router.add(key, {
      middleware: options.middleware?.flat() ?? [],
      handler: answering(answer as unknown as Handler, options.schema),
    });
    return this;
  }

  /**
   * The pattern from before `webSocket`: CONNECT and DISCONNECT are `$connect` and `$disconnect`, whatever the
   * path; MESSAGE `/x` is the route `x`. @throws {LiftError} as `webSocket` does
   */
  handle(method: EventMethod, path: string, handler: Handler<State>): this {
    return this.webSocket(legacyKey(method, path), handler);
  }

  /** What to export as the Lambda's handler, or to give a gateway. An event that is no WebSocket event rejects with NOT_WEBSOCKET. */
  webSocketHandler(options: HandlerOptions = {}): WebSocketHandler {
    const settings = options.connections
      ? { ...this.#settings, connections: options.connections }
      : this.#settings;
    return (event, context) => {
      this.#routes ??= this.#compile();
      return handleEvent(event, context, this.#routes, settings);
    };
  }

  #compile(): Routes {
    const fallback = this.#defaultHandler;
    return this.#router.compile(fallback && answering(fallback as unknown as Handler), identified);
  }

  #assertOpen(): void {
    if (this.#routes !== undefined) throw new LiftError("APP_STARTED");
  }
}

function legacyKey(method: EventMethod, path: string): string {
  if (method === "CONNECT") return "$connect";
  if (method === "DISCONNECT") return "$disconnect";
  const key = path.startsWith("/") ? path.slice(1) : "";
  if (method === "MESSAGE" && key !== "" && !isLifecycle(key)) return key;
  throw new LiftError("INVALID_ROUTE", { message: `handle() takes no ${method} ${path}` });
}
