import type { StandardSchemaV1 } from "@standard-schema/spec";
import type {
  BroadcastOptions,
  BroadcastReport,
  Connections,
  LambdaContext,
  MessageData,
  WebSocketEvent,
  WebSocketResult,
} from "../apigw/index.ts";
import type { ConnectionStore, Schedule, TimeBudget } from "../store/index.ts";
import { checkOptions } from "./check-options.ts";
import type { Middleware } from "./compose.ts";
import { broadcastAt } from "./connections/broadcast.ts";
import { connectionsAt } from "./connections/by-endpoint.ts";
import {
  type ConnectionFilter,
  closeRevoked,
  type DisconnectReport,
  disconnectAll,
  REVOCATION,
} from "./connections/disconnect-all.ts";
import type { AnyState } from "./context.ts";
import { LiftError } from "./errors.ts";
import { handleEvent, identifyFirst } from "./handler.ts";
import { isAttemptCount, type LiftOptions, readOptions, type Settings } from "./options.ts";
import { type Handler, handlerStep, isLifecycle, Router, type Routes } from "./router.ts";
import {
  runTick,
  type ScheduledAction,
  type ScheduledEntry,
  type ScheduledOptions,
  type TickReport,
} from "./scheduler/tick.ts";

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
  /** How messages are sent. Default: the app's option, else `awsConnections()`. `tick` and `disconnect` take it from the handler. */
  readonly connections?: Connections;
}

export interface TickOptions extends HandlerOptions {
  /** A Lambda's context: a tick ends in its time. Default 60 s. */
  readonly context?: TimeBudget;
}

/** As for a tick. */
export type DisconnectOptions = TickOptions;

/** As for a tick; a broadcast ends in its context's time. */
export interface AppBroadcastOptions extends TickOptions, Pick<BroadcastOptions, "results" | "signal"> {}

/** A Lambda handler for a scheduled event, whatever is in it. */
export type TickHandler = (event: unknown, context: TimeBudget) => Promise<TickReport>;

export interface RouteOptions {
  /** Run inside the app's own, first to last. */
  readonly middleware?: readonly (Middleware | readonly Middleware[])[];
}

export interface SchemaRouteOptions<Schema extends StandardSchemaV1> extends RouteOptions {
  /** Checks the message after the middleware and before the handler, which reads `ctx.input`. */
  readonly schema: Schema;
}

/** As often as Lambda's schedules ring. */
const TICK_MS = 60_000;

export type EventMethod = "CONNECT" | "MESSAGE" | "DISCONNECT";

/** An application: its routes and what stands around them. `State` names what a connection keeps. */
export class Lift<State extends object = AnyState> {
  readonly #settings: Settings;
  readonly #defaultHandler: Handler<State> | undefined;
  readonly #router = new Router();
  readonly #actions = new Map<string, ScheduledEntry>([
    [REVOCATION, { action: closeRevoked, tries: Number.POSITIVE_INFINITY }],
  ]);
  /** What the last host delivers by: for what happens outside of events. */
  #host: HandlerOptions = {};
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

  /** The option. Without it `tick` has nothing to do. */
  get schedule(): Schedule | undefined {
    return this.#settings.schedule;
  }

  /**
   * Puts middleware around every route, the first outermost, whether the route is registered before or after.
   * One with a `place` runs there, wherever it stands in the order.
   * @throws {LiftError} APP_STARTED
   */
  use(...middleware: (Middleware<State> | readonly Middleware<State>[])[]): this {
    this.#assertOpen();
    const all = middleware.flat();
    this.#router.use(all);
    return this.#scheduledBy(all);
  }

  /**
   * Registers what `tick` does with the schedule's items of a kind.
   * @throws {LiftError} ACTION_EXISTS, APP_STARTED, INVALID_OPTION
   */
  scheduled(kind: string, action: ScheduledAction, options: ScheduledOptions = {}): this {
    this.#assertOpen();
    checkOptions(options, { tries: isAttemptCount });
    if ((this.#actions.get(kind)?.action ?? action) !== action) {
      throw new LiftError("ACTION_EXISTS", { message: `The kind ${kind} has its action already` });
    }
    this.#actions.set(kind, { ...options, action });
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
    const middleware = options.middleware?.flat() ?? [];
    this.#router.add(key, { middleware, handler: handlerStep(answer as unknown as Handler, options.schema) });
    return this.#scheduledBy(middleware);
  }

  /**
   * The pattern from before `webSocket`: CONNECT and DISCONNECT are `$connect` and `$disconnect`, whatever the
   * path; MESSAGE `/x` is the route `x`. @throws {LiftError} as `webSocket` does
   */
  handle(method: EventMethod, path: string, handler: Handler<State>): this {
    return this.webSocket(routeKeyFor(method, path), handler);
  }

  /** What to export as the Lambda's handler, or to give a gateway. An event that is no WebSocket event rejects with NOT_WEBSOCKET. */
  webSocketHandler(options: HandlerOptions = {}): WebSocketHandler {
    const settings = this.#settingsFor(options);
    this.#host = options;
    return (event, context) => {
      try {
        this.#routes ??= this.#compile();
      } catch (error) {
        return Promise.reject(error);
      }
      return handleEvent(event, context, this.#routes, settings);
    };
  }

  /** What to export as the handler of a scheduled function. Lambda's finest schedule is once a minute. */
  tickHandler(options: HandlerOptions = {}): TickHandler {
    return (_event, context) => this.tick({ ...options, context });
  }

  /**
   * Acts on what is due in the schedule. Twice, or in several places at once, does no harm. What fails is tried again
   * later (`scheduleRetry`), and keeps nothing else from being done.
   * @throws {LiftError} STORE_FAILED when the schedule can't be read
   */
  async tick(options: TickOptions = {}): Promise<TickReport> {
    const settings = this.#settingsFor({ ...this.#host, ...options });
    if (settings.schedule === undefined) return { done: 0, failed: 0, complete: true };
    return runTick(settings.schedule, this.#actions, settings, options.context ?? timeBudget(TICK_MS));
  }

  /**
   * Closes every open connection of a user, of a tenant, or of a user in a tenant, each after a REVOKED error frame.
   * It keeps nobody from connecting again: whoever checks tokens must do that first.
   * @throws {LiftError} STORE_REQUIRED; STORE_FAILED when the connections could not be listed
   */
  async disconnect(filter: ConnectionFilter, options: DisconnectOptions = {}): Promise<DisconnectReport> {
    return disconnectAll(
      filter,
      this.#settingsFor({ ...this.#host, ...options }),
      options.context ?? timeBudget(TICK_MS),
    );
  }

  /**
   * `WebSocketContext.broadcastMessage` where there is no event.
   * @param endpoint of the API behind which all of them are, as a connection's row names it
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, before anything is sent
   */
  async broadcast(
    endpoint: string,
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    { context = timeBudget(TICK_MS), connections, ...options }: AppBroadcastOptions = {},
  ): Promise<BroadcastReport> {
    const settings = this.#settingsFor(connections === undefined ? this.#host : { connections });
    return broadcastAt(endpoint, connectionsAt(endpoint, settings), ids, data, settings, context, options);
  }

  #scheduledBy(middleware: readonly Middleware[]): this {
    for (const { scheduled = {} } of middleware) {
      for (const [kind, given] of Object.entries(scheduled)) {
        const { action, ...options } = typeof given === "function" ? { action: given } : given;
        this.scheduled(kind, action, options);
      }
    }
    return this;
  }

  #settingsFor({ connections }: HandlerOptions): Settings {
    return connections === undefined ? this.#settings : { ...this.#settings, connections };
  }

  #compile(): Routes {
    const fallback = this.#defaultHandler;
    const names = this.#settings.actions?.names;
    return this.#router.compile(
      fallback && handlerStep(fallback as unknown as Handler),
      identifyFirst,
      names,
    );
  }

  #assertOpen(): void {
    if (this.#routes !== undefined) throw new LiftError("APP_STARTED");
  }
}

function timeBudget(ms: number): TimeBudget {
  const end = performance.now() + ms;
  return { getRemainingTimeInMillis: () => end - performance.now() };
}

function routeKeyFor(method: EventMethod, path: string): string {
  if (method === "CONNECT") return "$connect";
  if (method === "DISCONNECT") return "$disconnect";
  const key = path.startsWith("/") ? path.slice(1) : "";
  if (method === "MESSAGE" && key !== "" && !isLifecycle(key)) return key;
  throw new LiftError("INVALID_ROUTE", { message: `handle() takes no ${method} ${path}` });
}
