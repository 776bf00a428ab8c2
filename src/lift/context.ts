import type { StandardSchemaV1 } from "@standard-schema/spec";
import {
  type Connections,
  isConnectEvent,
  type LambdaContext,
  type PostOptions,
  type PostOutcome,
  parseStatusCode,
  type WebSocketEvent,
  type WebSocketResult,
} from "../apigw/index.ts";
import type { Connection, ConnectionStore, Json, JsonObject } from "../store/index.ts";
import type { WebSocketContext } from "./connections/websocket.ts";
import { Deadline } from "./deadline.ts";
import { LiftError } from "./errors.ts";
import { EventInput } from "./event-input.ts";
import { type ConnectionState, copyOfField } from "./event-state.ts";
import { stringify, toJson } from "./json.ts";
import { FieldLogger, type Logger } from "./logger.ts";
import { type ActionListener, EventAction, type MessageAction } from "./message-action.ts";
import { NextTracker } from "./next-tracker.ts";
import { invalidResult, isPostOutcome, readResult } from "./result.ts";
import type { ConnectionIdentity, Instruments, Settings } from "./settings.ts";

/** Connection state of an app that does not declare its keys. */
export type AnyState = { [key: string]: Json };

/** A context whose input type is not known. */
// biome-ignore lint/suspicious/noExplicitAny: code that treats all routes alike cannot know their state
export type AnyContext<State extends object = any> = Context<State, any>;

/** Values that `set` accepts for a key of type `Value`: the value itself, or one that serializes to it, such as a Date. */
export type Storable<Value> = Value | { toJSON(): Value };

/** Reads the action of a message on `$default`; `undefined`, or an error, when it names none. */
export type ReadAction = (ctx: AnyContext) => MessageAction | undefined;

/** Outcome of an event. */
export interface Outcome {
  /** HTTP status: 2xx for success. */
  readonly statusCode: number;
  /** Code of the error, if there was one: one of `ERROR_CODES`, or the application's own. */
  readonly code?: string;
}

/** The parts of a context that Lift may use and applications may not. */
interface ContextInternals {
  /** Takes a handler's return value as the event's result. @throws {LiftError} INVALID_RESULT */
  setResult(ctx: AnyContext, returned: unknown): void;
  resultOf(ctx: AnyContext): WebSocketResult;
  /** Whether a handler has finished, or a status was set. */
  hasResult(ctx: AnyContext): boolean;
  stateOf(ctx: AnyContext): ConnectionState | undefined;
  metadataOf(ctx: AnyContext): JsonObject;
  /** Takes the identity from the authorizer's context. Returns `false` when it carries none. */
  adoptAuthorizer(ctx: AnyContext): boolean;
  /** Takes the connection's row: its state, and its identity unless the authorizer has set one. */
  adoptRow(ctx: AnyContext, row: Connection | undefined): void;
  /** Sets the identity of a message whose event is over. */
  adoptIdentity(ctx: AnyContext, identity: ConnectionIdentity): void;
  /** The connection's row, if this event has read it. */
  rowOf(ctx: AnyContext): Connection | undefined;
  setInput(ctx: AnyContext, input: unknown): void;
  /** The @connections API of this event, with its instruments. */
  connectionsOf(ctx: AnyContext): Connections;
  /** Tracks `next()` calls. Created on first use, because events without middleware need none. */
  nextTracker(ctx: AnyContext): NextTracker;
  /** See `NextTracker.unfinished`. */
  unfinishedNext(ctx: AnyContext): Promise<void> | undefined;
  recordHandlerError(ctx: AnyContext, error: unknown): void;
  /** Records the error that becomes the event's outcome. */
  recordFailure(ctx: AnyContext, error: LiftError): void;
  /** The app's settings, with this event's instruments. */
  settingsOf(ctx: AnyContext): Settings;
  /** Clears the timer of the event's deadline. */
  release(ctx: AnyContext): void;
}

export let contextInternals: ContextInternals;

/**
 * One event and its result. Nothing is parsed, read or started before it is used. `AppContext` is the one of an app.
 * `State` declares the keys of `set` and `get`; `Input` is the output of the route's schema.
 */
export abstract class Context<State extends object = AnyState, Input = unknown> extends EventInput {
  #settings: Settings;
  #readAction: ReadAction | undefined;
  #failure: LiftError | undefined;
  /** `null` when the event has read it and there is none. */
  #row: Connection | null | undefined;
  #state: ConnectionState | undefined;
  /** Never changed in place, because a handler may have returned it. */
  #result: WebSocketResult | undefined;
  #hasResult = false;
  #identity: ConnectionIdentity | undefined;
  #isIdentityFixed: boolean;
  #metadata: JsonObject | undefined;
  #input: Input | undefined;
  #locals: { [name: string]: unknown } | undefined;
  #action: EventAction | undefined;
  #logger: Logger | undefined;
  #deadline: Deadline | undefined;
  #nextTracker: NextTracker | undefined;

  constructor(
    event: WebSocketEvent,
    lambda: LambdaContext,
    settings: Settings,
    route = "$default",
    readAction?: ReadAction,
  ) {
    super(event, lambda, route);
    this.#settings = settings;
    this.#readAction = readAction;
    this.#isIdentityFixed = !isConnectEvent(event);
  }

  /** The message as the route's schema returned it. `undefined` on a route without a schema. */
  get input(): Input {
    return this.#input as Input;
  }

  // Action

  /** The registered key. For a message on `$default`, the action that the app's `actions` read from it. */
  get action(): string {
    return this.#currentAction()?.name ?? this.route;
  }

  /** The namespaces that the action concerns, as the app's `actions` name them. */
  get namespaces(): readonly string[] {
    return this.#currentAction()?.namespaces ?? [];
  }

  /** Adds a listener for when the event turns out to be another action, such as a chunked message. For middleware. */
  onAction(listener: ActionListener): void {
    this.#eventAction().onChange(listener);
  }

  /** Makes the event another action. Rejects when a listener does, for example with RATE_LIMITED. For applications. */
  actAs(action: MessageAction): Promise<void> {
    return this.#eventAction().change(action);
  }

  #currentAction(): MessageAction | undefined {
    return this.#readAction === undefined ? undefined : this.#eventAction().current;
  }

  #eventAction(): EventAction {
    this.#action ??= new EventAction(() => this.#readAction?.(this));
    return this.#action;
  }

  // Message

  /**
   * Returns a field of the message, not validated; see `bind`. Returns `undefined` when the message is not an object or
   * lacks the field.
   * @throws {LiftError} MALFORMED_JSON
   * @example
   * const text = ctx.body("text"); // unknown
   */
  abstract body(field: string): unknown;

  /**
   * Validates the whole message with any Standard Schema (zod, valibot, arktype) and returns the schema's output.
   * @throws {LiftError} MALFORMED_JSON; VALIDATION_ERROR, with the first 20 issues as details
   * @example
   * const { text } = await ctx.bind(z.object({ text: z.string() }));
   */
  abstract bind<Schema extends StandardSchemaV1>(
    schema: Schema,
  ): Promise<StandardSchemaV1.InferOutput<Schema>>;

  // Result

  /** Status of the result so far. Default 200. */
  get statusCode(): number {
    return this.#result?.statusCode ?? 200;
  }

  /**
   * Sets the status of the result. On `$connect` it decides: 2xx opens the socket, any other refuses the upgrade.
   * @param statusCode an integer from 100 to 599
   * @throws {LiftError} INVALID_RESULT
   * @example
   * return ctx.status(403).json({ reason: "The room is full" });
   */
  status(statusCode: number): this {
    if (typeof statusCode !== "number" || parseStatusCode(statusCode) === undefined) {
      throw invalidResult(`\`${statusCode}\` is not an HTTP status from 100 to 599`);
    }
    this.#hasResult = true;
    this.#result = { ...this.#result, statusCode };
    return this;
  }

  /**
   * Sets the result's body to a value as JSON. It reaches the client only from a message route with a route response;
   * use `reply` to send a message.
   * @throws {LiftError} NOT_JSON
   */
  json(value: unknown): this {
    return this.text(stringify(value));
  }

  /** Sets the result's body to a text. See `json`. */
  text(body: string): this {
    this.#result = { statusCode: 200, ...this.#result, body };
    return this;
  }

  /** Sets a header of the result. Only `Sec-WebSocket-Protocol` on `$connect` reaches the client. */
  setHeader(name: string, value: string): this {
    const headers = { ...this.#result?.headers, [name]: value };
    this.#result = { statusCode: 200, ...this.#result, headers };
    return this;
  }

  // Sending

  /**
   * Sends a value as JSON to the connection that this event came from.
   * @throws {LiftError} NOT_CONNECTED on `$connect`, NOT_JSON
   * @throws {ConnectionsError} see `Connections.post`
   * @example
   * await ctx.reply({ type: "pong" });
   */
  reply(value: unknown, options?: PostOptions): Promise<PostOutcome> {
    return this.asWebSocket().sendJSON(value, options);
  }

  /**
   * Returns the object that sends to any connection.
   * @throws {LiftError} NOT_WEBSOCKET
   * @example
   * const report = await ctx.asWebSocket().broadcastJSON(ids, { type: "news" });
   */
  abstract asWebSocket(): WebSocketContext;

  /** Returns the same object as `asWebSocket`, which is the preferred name. */
  asWebSocketV2(): WebSocketContext {
    return this.asWebSocket();
  }

  // Identity

  /** Id of the connection's user. Set on `$connect` by the server; a client's message cannot change it. */
  get userId(): string | undefined {
    return this.#identity?.userId;
  }

  /** Id of the connection's tenant. */
  get tenantId(): string | undefined {
    return this.#identity?.tenantId;
  }

  /**
   * Sets the user of the connection. An empty id means no user.
   * @throws {LiftError} IDENTITY_FIXED outside `$connect`, or when the authorizer has set another identity
   */
  setUserId(userId: string): this {
    return this.#setIdentity({ userId: userId || undefined, tenantId: this.tenantId });
  }

  /**
   * Sets the tenant of the connection. An empty id means no tenant.
   * @throws {LiftError} IDENTITY_FIXED outside `$connect`, or when the authorizer has set another identity
   */
  setTenantId(tenantId: string): this {
    return this.#setIdentity({ userId: this.userId, tenantId: tenantId || undefined });
  }

  /**
   * Adds fields to the connection's metadata. Later events read it with `connection()` and cannot change it.
   * @throws {LiftError} IDENTITY_FIXED outside `$connect`, STATE_NOT_JSON
   */
  setMetadata(fields: object): this {
    if (!isConnectEvent(this.event)) throw new LiftError("IDENTITY_FIXED");
    this.#metadata = { ...this.#metadata, ...(toJson(fields) as JsonObject) };
    return this;
  }

  /** Later events take the identity from the authorizer, when it carries one. A different row would contradict it. */
  #setIdentity(identity: ConnectionIdentity): this {
    const isSame = identity.userId === this.userId && identity.tenantId === this.tenantId;
    if (this.#isIdentityFixed && !isSame) {
      const message = isConnectEvent(this.event)
        ? "The authorizer has set the identity; return all of it there, or set the option `identity`"
        : undefined;
      throw new LiftError("IDENTITY_FIXED", message === undefined ? {} : { message });
    }
    this.#identity = identity;
    return this;
  }

  // State

  /**
   * Sets a key of the connection's state; `undefined` removes it. All keys are written in one call after the handler,
   * and only if it succeeds. Later events see them, `$disconnect` included.
   * @throws {LiftError} STATE_NOT_JSON, RESERVED_KEY, STORE_REQUIRED
   * @example
   * ctx.set("room", "lobby");
   */
  set<Key extends keyof State & string>(key: Key, value: Storable<State[Key]> | undefined): this {
    this.#requireState().set(key, value);
    return this;
  }

  /**
   * Returns a copy of a key of the connection's state. A value that this event has set takes precedence. The first call
   * reads the connection's row, unless the event has already read it.
   * @throws {LiftError} STORE_FAILED, STORE_REQUIRED
   * @example
   * const room = await ctx.get("room");
   */
  get<Key extends keyof State & string>(key: Key): Promise<State[Key] | undefined> {
    // Most events only read, so they need no ConnectionState.
    if (this.#state === undefined && this.#row) {
      return Promise.resolve(copyOfField(this.#row.state, key) as State[Key] | undefined);
    }
    return this.#requireState().get(key) as Promise<State[Key] | undefined>;
  }

  /**
   * Changes a key of the connection's state atomically and at once: for lists and counters that overlapping events share.
   * A key that this event has `set` is changed before it is written.
   * @param change returns the new value; it may run more than once
   * @throws {LiftError} STATE_NOT_JSON, RESERVED_KEY, STORE_FAILED, STORE_REQUIRED, CONNECTION_CLOSED
   * @example
   * const count = await ctx.update("count", (current = 0) => current + 1);
   */
  update<Key extends keyof State & string>(
    key: Key,
    change: (current: State[Key] | undefined) => Storable<State[Key]> | undefined,
  ): Promise<State[Key] | undefined> {
    const changeJson = change as (current: Json | undefined) => unknown;
    return this.#requireState().update(key, changeJson) as Promise<State[Key] | undefined>;
  }

  /**
   * Returns the connection's row as this event read it; `undefined` on `$connect`.
   * @throws {LiftError} STORE_FAILED, STORE_REQUIRED
   */
  connection(): Promise<Connection | undefined> {
    return this.#requireState().connection();
  }

  /** The app's connection store. @throws {LiftError} STORE_REQUIRED */
  get connectionStore(): ConnectionStore {
    if (this.#settings.store === undefined) throw new LiftError("STORE_REQUIRED");
    return this.#settings.store;
  }

  /** Values that live for this event only. */
  get locals(): { [name: string]: unknown } {
    this.#locals ??= Object.create(null) as { [name: string]: unknown };
    return this.#locals;
  }

  #requireState(): ConnectionState {
    this.#state ??= this.openState(this.connectionStore, this.#row);
    return this.#state;
  }

  /** @param row `undefined` if the event has not read it; `null` when it does not exist */
  protected abstract openState(store: ConnectionStore, row: Connection | null | undefined): ConnectionState;

  // Environment

  /**
   * Outcome of the event, for observers after their `next()`. A message that was answered with an error frame has the
   * error's status here, although its result says 200.
   */
  get outcome(): Outcome {
    const error = this.#failure;
    return error === undefined
      ? { statusCode: this.statusCode }
      : { statusCode: error.status, code: error.code };
  }

  /** Wraps what this event sends and stores with. For observers, before their `next()`. */
  instrument(instruments: Instruments): void {
    const { store } = this.#settings;
    this.#settings = { ...this.#settings, store: (store && instruments.store?.(store)) ?? store };
  }

  /** The @connections API of this event. */
  protected abstract openConnections(): Connections;

  /** Logger that adds the request id, connection id and route key to each line, and the action if there is one. */
  get logger(): Logger {
    this.#logger ??= new FieldLogger(this.#settings.logger, () => ({
      requestId: this.requestId,
      connectionId: this.connectionId,
      routeKey: this.routeKey,
      ...(this.action === this.route ? {} : { action: this.action }),
      ...(this.namespaces.length === 0 ? {} : { namespace: this.namespaces.join() }),
    }));
    return this.#logger;
  }

  /** Aborts `deadlineMarginMs` (default: one second) before Lambda stops the function. */
  get signal(): AbortSignal {
    this.#deadline ??= new Deadline(this.lambda, this.#settings.deadlineMarginMs);
    return this.#deadline.signal;
  }

  static {
    contextInternals = {
      setResult: (ctx, returned) => {
        ctx.#hasResult = true;
        if (returned === undefined || returned === ctx || isPostOutcome(returned)) return;
        ctx.#result = readResult(returned);
      },
      resultOf: (ctx) => ctx.#result ?? { statusCode: 200 },
      hasResult: (ctx) => ctx.#hasResult,
      stateOf: (ctx) => ctx.#state,
      metadataOf: (ctx) => ctx.#metadata ?? {},
      adoptAuthorizer: (ctx) => {
        const { authorizer } = ctx.event.requestContext;
        const identity = authorizer === undefined ? undefined : ctx.#settings.identity(authorizer);
        if (identity?.userId === undefined && identity?.tenantId === undefined) return false;
        ctx.#identity = identity;
        ctx.#isIdentityFixed = true;
        return true;
      },
      adoptIdentity: (ctx, identity) => {
        ctx.#identity = identity;
        ctx.#isIdentityFixed = true;
        ctx.#row = null;
      },
      adoptRow: (ctx, row) => {
        ctx.#row = row ?? null;
        ctx.#identity ??= row;
      },
      rowOf: (ctx) => ctx.#row ?? undefined,
      setInput: (ctx, input) => {
        ctx.#input = input;
      },
      connectionsOf: (ctx) => ctx.openConnections(),
      nextTracker: (ctx) => {
        ctx.#nextTracker ??= new NextTracker();
        return ctx.#nextTracker;
      },
      unfinishedNext: (ctx) => ctx.#nextTracker?.unfinished(ctx.#hasResult),
      recordHandlerError: (ctx, error) => ctx.#nextTracker?.recordHandlerError(error),
      recordFailure: (ctx, error) => {
        ctx.#failure = error;
      },
      settingsOf: (ctx) => ctx.#settings,
      release: (ctx) => ctx.#deadline?.cancel(),
    };
  }
}
