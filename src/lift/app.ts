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
import { runSafely } from "../internal/log-safely.ts";
import type { ConnectionStore, Schedule, TimeBudget } from "../store/index.ts";
import type { Middleware } from "./compose.ts";
import { broadcastFrom } from "./connections/broadcast.ts";
import {
  type ConnectionFilter,
  closeRevoked,
  type DisconnectReport,
  disconnectAll,
  REVOCATION,
} from "./connections/disconnect-all.ts";
import type { AnyState, Context } from "./context.ts";
import { checkOptions, LiftError } from "./errors.ts";
import { handleEvent, identifyFirst } from "./handler.ts";
import { type LiftOptions, readOptions } from "./options.ts";
import {
  type Actions,
  type AnyRouteOptions,
  callStep,
  checkRouteOptions,
  type Handler,
  handlerStep,
  isLifecycle,
  type RouteOptions,
  Router,
  type Routes,
} from "./router.ts";
import { attemptCount } from "./scheduler/schedule-retry.ts";
import type {
  ScheduledAction,
  ScheduledEntry,
  ScheduledOptions,
  TickReport,
} from "./scheduler/scheduled-action.ts";
import { runTick } from "./scheduler/tick.ts";
import type { AppSettings } from "./settings.ts";

/** The fields that every WebSocket event has. Loosely typed events fit too, such as those of `@types/aws-lambda`. */
export interface IncomingEvent {
  /** The fields of the request context that Lift needs. */
  readonly requestContext: {
    readonly connectionId: string;
    readonly routeKey: string;
    readonly eventType: string;
  };
}

/** A Lambda handler for all events of a WebSocket API. */
export type WebSocketHandler = (
  event: WebSocketEvent | IncomingEvent,
  context: LambdaContext,
) => Promise<WebSocketResult>;

/** Options of `webSocketHandler` and `tickHandler`. */
export interface HandlerOptions {
  /**
   * Sends messages. Default: the app's option `connections`, else `awsConnections()`. `tick` and `disconnect` use the one of
   * the last handler.
   */
  readonly connections?: Connections;
}

/** Options of `tick`. */
export interface TickOptions extends HandlerOptions {
  /** Lambda's context, which limits the time. Default: 60 s. */
  readonly context?: TimeBudget;
}

/** Options of `disconnect`. */
export type DisconnectOptions = TickOptions;

/** Options of `broadcast`. */
export interface AppBroadcastOptions extends TickOptions, Pick<BroadcastOptions, "results" | "signal"> {}

/** A Lambda handler for a scheduled event. It ignores the event. */
export type TickHandler = (event: unknown, context: TimeBudget) => Promise<TickReport>;

/** Options of a route with a schema. */
export interface SchemaRouteOptions<Schema extends StandardSchemaV1> extends RouteOptions {
  /** Validates the message after the middleware. The handler reads the output as `ctx.input`. */
  readonly schema: Schema;
}

/** Options of a route that answers: what its handler returns is the response. */
export interface CallRouteOptions<Input extends StandardSchemaV1, Output extends StandardSchemaV1>
  extends RouteOptions {
  /** Validates the message's `payload`. The handler reads the output as `ctx.input`. Default: any JSON. */
  readonly input?: Input;
  /** Validates what the handler returns. The sender gets its output as `data` of a `response`, under the message's `id`. */
  readonly output: Output;
}

/** Carries the types of a route that answers, for `createClient`. The property does not exist at run time. */
export interface RouteTypes<
  Key extends string,
  Input extends StandardSchemaV1,
  Output extends StandardSchemaV1,
> {
  /** The types of the route's call; never set. */
  readonly "~requests"?: {
    readonly [Name in Key]: {
      readonly input: StandardSchemaV1.InferInput<Input>;
      readonly result: StandardSchemaV1.InferOutput<Output>;
      readonly progress: never;
    };
  };
}

/**
 * Internal: returns an app's private settings, for `runDetachedWork`. That function is not a method of the app, so that
 * apps without stored requests do not bundle it.
 */
export let appSettings: (app: Lift) => AppSettings;

/** Default time of a tick, in ms. EventBridge's finest schedule is once a minute. */
const TICK_MS = 60_000;

/** Handles the messages of a route that answers. @returns the `data` of the response */
export type CallHandler<State extends object, Input, Result> = (
  ctx: Context<State, Input>,
) => Result | Promise<Result>;

/** Event types of `Lift.handle`. */
export type EventMethod = "CONNECT" | "MESSAGE" | "DISCONNECT";

/**
 * An application: routes, middleware and options. `State` declares the keys of the connections' state.
 * @example
 * const app = new Lift({ connectionStore: memoryConnectionStore() });
 * app.webSocket("echo", (ctx) => ctx.reply({ echo: ctx.body("text") }));
 * export const handler = app.webSocketHandler();
 */
export class Lift<State extends object = AnyState> {
  readonly #settings: AppSettings;
  readonly #defaultHandler: Handler<State> | undefined;
  readonly #router = new Router();
  readonly #messageActions: Actions | undefined;
  readonly #tickActions: (() => unknown)[] = [];
  readonly #stopActions: (() => unknown)[] = [];
  readonly #scheduled = new Map<string, ScheduledEntry>([
    [REVOCATION, { action: closeRevoked, tries: Number.POSITIVE_INFINITY }],
  ]);
  /** Options of the last handler. They apply outside of events too. */
  #handlerOptions: HandlerOptions = {};
  #routes: Routes | undefined;

  static {
    appSettings = (app) => app.#settingsFor(app.#handlerOptions);
  }

  /** @throws {LiftError} INVALID_OPTION for an unknown or invalid option */
  constructor(options: LiftOptions<State> = {}) {
    this.#settings = readOptions(options);
    this.#defaultHandler = options.defaultHandler;
    this.#messageActions = options.actions;
  }

  /** The route keys that the API must have, `$connect` and `$disconnect` included even if they are not registered. */
  get routeKeys(): string[] {
    const unmatched = this.#defaultHandler === undefined ? [] : ["$default"];
    return [...new Set(["$connect", "$disconnect", ...this.#router.keys, ...unmatched])];
  }

  /** The option `connectionStore`. `lift-ws dev` moves its memory to the app that it reloads. */
  get connectionStore(): ConnectionStore | undefined {
    return this.#settings.store;
  }

  /** The option `schedule`. Without it `tick` runs the actions of `everyTick` only. */
  get schedule(): Schedule | undefined {
    return this.#settings.schedule;
  }

  /**
   * Adds middleware around every route, outermost first, whether the route is registered before or after. A middleware with
   * a `phase` runs in that phase instead.
   * @throws {LiftError} APP_STARTED
   * @example
   * app.use(webSocketLogger(), webSocketAuth({ jwt }));
   */
  use(...middleware: (Middleware<State> | readonly Middleware<State>[])[]): this {
    this.#assertOpen();
    const all = middleware.flat();
    this.#router.use(all);
    return this.#registerScheduled(all);
  }

  /**
   * Registers the action for scheduled items of a kind. `tick` runs it for each due item.
   * @throws {LiftError} ACTION_EXISTS, APP_STARTED, INVALID_OPTION
   * @example
   * app.scheduled("reminder", async ({ id }) => sendReminder(id), { tries: 5 });
   */
  scheduled(kind: string, action: ScheduledAction, options: ScheduledOptions = {}): this {
    this.#assertOpen();
    checkOptions(options, { tries: attemptCount });
    if ((this.#scheduled.get(kind)?.action ?? action) !== action) {
      throw new LiftError("ACTION_EXISTS", { message: `The kind \`${kind}\` already has an action` });
    }
    this.#scheduled.set(kind, { ...options, action });
    return this;
  }

  /**
   * Registers an action that runs on every `tick`, in parallel with the due items and the other actions. `tick` waits for it
   * until its time ends. An error is logged.
   * @throws {LiftError} APP_STARTED
   * @example
   * app.everyTick(() => queue.startWhatIsDue());
   */
  everyTick(action: () => unknown): this {
    this.#assertOpen();
    this.#tickActions.push(action);
    return this;
  }

  /**
   * Registers an action that `stop` runs, such as closing a database. An error is logged.
   * @throws {LiftError} APP_STARTED
   * @example
   * app.onStop(() => database.close());
   */
  onStop(action: () => unknown): this {
    this.#assertOpen();
    this.#stopActions.push(action);
    return this;
  }

  /**
   * Runs the actions of `onStop`, in parallel. `start` and `lift-ws dev` call it when all sockets are closed. After a reload,
   * `lift-ws dev` calls it on the previous app when its running events have ended. Lambda stops no app. Never rejects.
   */
  async stop(): Promise<void> {
    const { logger } = this.#settings;
    await Promise.all(
      this.#stopActions.map((action) => runSafely(action, logger, "An `onStop` action failed")),
    );
  }

  /**
   * Registers the handler of a route key: `$connect`, `$disconnect`, `$default`, or a key that messages select.
   * @returns this app; with `output` also the route's types, for `createClient<typeof streamer & typeof app>`
   * @throws {LiftError} ROUTE_EXISTS, INVALID_ROUTE, APP_STARTED
   * @example
   * app.webSocket("greet", { schema: z.object({ name: z.string() }) }, (ctx) =>
   *   ctx.reply({ greeting: `Hello, ${ctx.input.name}` }),
   * );
   */
  webSocket(key: string, handler: Handler<State>): this;
  webSocket<Schema extends StandardSchemaV1>(
    key: string,
    options: SchemaRouteOptions<Schema>,
    handler: Handler<State, StandardSchemaV1.InferOutput<Schema>>,
  ): this;
  webSocket<
    Output extends StandardSchemaV1,
    Input extends StandardSchemaV1 = StandardSchemaV1,
    Key extends string = string,
  >(
    key: Key,
    options: CallRouteOptions<Input, Output>,
    handler: CallHandler<State, StandardSchemaV1.InferOutput<Input>, StandardSchemaV1.InferInput<Output>>,
  ): this & RouteTypes<Key, Input, Output>;
  webSocket(key: string, options: RouteOptions, handler: Handler<State>): this;
  webSocket(
    key: string,
    optionsOrHandler: Handler<State> | AnyRouteOptions,
    handler?: Handler<State> | CallHandler<State, unknown, unknown>,
  ): this {
    this.#assertOpen();
    const options = typeof optionsOrHandler === "function" ? {} : optionsOrHandler;
    const routeHandler = typeof optionsOrHandler === "function" ? optionsOrHandler : handler;
    if (typeof routeHandler !== "function") {
      throw new LiftError("INVALID_ROUTE", { message: `The route \`${key}\` has no handler` });
    }
    checkRouteOptions(key, options);
    const { schema, input, output } = options;
    const middleware = options.middleware?.flat() ?? [];
    const anyHandler = routeHandler as unknown as Handler;
    const step = output === undefined ? handlerStep(anyHandler, schema) : callStep(anyHandler, input, output);
    this.#router.add(key, { middleware, handler: step });
    return this.#registerScheduled(middleware);
  }

  /**
   * Registers a handler by event type and path. It is the older form of `webSocket`: CONNECT and DISCONNECT are `$connect`
   * and `$disconnect`, with any path; MESSAGE `/x` is the route `x`.
   * @throws {LiftError} as `webSocket` does
   */
  handle(method: EventMethod, path: string, handler: Handler<State>): this {
    return this.webSocket(routeKeyFor(method, path), handler);
  }

  /**
   * Returns the handler to export from a Lambda function, or to pass to a gateway. It rejects other events with
   * NOT_WEBSOCKET. After its first event the app cannot change.
   * @example
   * export const handler = app.webSocketHandler();
   */
  webSocketHandler(options: HandlerOptions = {}): WebSocketHandler {
    const settings = this.#settingsFor(options);
    this.#handlerOptions = options;
    return (event, context) => {
      try {
        this.#routes ??= this.#compile();
      } catch (error) {
        return Promise.reject(error);
      }
      return handleEvent(event, context, this.#routes, settings);
    };
  }

  /**
   * Returns the handler of a scheduled Lambda function, which runs `tick`. Schedule it once a minute, the shortest interval.
   * @example
   * export const handler = app.tickHandler();
   */
  tickHandler(options: HandlerOptions = {}): TickHandler {
    return (_event, context) => this.tick({ ...options, context });
  }

  /**
   * Runs the actions of all due scheduled items. It may run twice, or in several processes at once. An item that fails is
   * retried later (see `scheduleRetry`) and does not stop the others.
   * @throws {LiftError} STORE_FAILED when the schedule cannot be read
   * @example
   * const { done, failed } = await app.tick();
   */
  async tick(options: TickOptions = {}): Promise<TickReport> {
    const settings = this.#settingsFor({ ...this.#handlerOptions, ...options });
    return runTick(this.#scheduled, this.#tickActions, settings, options.context ?? timeBudget(TICK_MS));
  }

  /**
   * Closes all open connections of a user, of a tenant, or of a user within a tenant, each after a REVOKED error frame.
   * Revoke the user's tokens first, because it does not prevent new connections.
   * @example
   * await app.disconnect({ userId: "ada" });
   * @throws {LiftError} STORE_REQUIRED; STORE_FAILED when the connections could not be listed
   */
  async disconnect(filter: ConnectionFilter, options: DisconnectOptions = {}): Promise<DisconnectReport> {
    return disconnectAll(
      filter,
      this.#settingsFor({ ...this.#handlerOptions, ...options }),
      options.context ?? timeBudget(TICK_MS),
    );
  }

  /**
   * Sends one message to many connections, outside of an event. See `WebSocketContext.broadcastMessage`.
   * @param endpoint endpoint of the API that all recipients are connected to, as in a connection's row
   * @example
   * await app.broadcast("https://abc123.execute-api.us-east-1.amazonaws.com/prod", ids, "hello");
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, before anything is sent
   */
  async broadcast(
    endpoint: string,
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    { context = timeBudget(TICK_MS), connections, ...options }: AppBroadcastOptions = {},
  ): Promise<BroadcastReport> {
    const settings = this.#settingsFor(connections === undefined ? this.#handlerOptions : { connections });
    return broadcastFrom({ endpoint, settings, budget: context }, ids, data, options);
  }

  #registerScheduled(middleware: readonly Middleware[]): this {
    for (const { scheduled = {} } of middleware) {
      for (const [kind, entry] of Object.entries(scheduled)) {
        const { action, ...options } = typeof entry === "function" ? { action: entry } : entry;
        this.scheduled(kind, action, options);
      }
    }
    return this;
  }

  #settingsFor({ connections }: HandlerOptions): AppSettings {
    return connections === undefined ? this.#settings : { ...this.#settings, connections };
  }

  #compile(): Routes {
    const defaultHandler = this.#defaultHandler;
    const defaultStep = defaultHandler && handlerStep(defaultHandler as unknown as Handler);
    return this.#router.compile(defaultStep, identifyFirst, this.#messageActions);
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
  throw new LiftError("INVALID_ROUTE", {
    message: `\`handle()\` does not support ${method} ${path}; expected CONNECT, DISCONNECT, or MESSAGE with a path like /x`,
  });
}
