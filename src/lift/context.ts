import type { StandardSchemaV1 } from "@standard-schema/spec";
import {
  isConnectEvent,
  type LambdaContext,
  type PostOptions,
  type PostOutcome,
  parseStatusCode,
  parseWebSocketResult,
  type WebSocketEvent,
  type WebSocketResult,
} from "../apigw/index.ts";
import type { Connection, ConnectionStore, Json, JsonObject } from "../store/index.ts";
import { WebSocketContext } from "./connections/websocket.ts";
import { Deadline } from "./deadline.ts";
import { LiftError } from "./errors.ts";
import { ConnectionState, copyOfField } from "./event-state.ts";
import { FloatingNext } from "./floating-next.ts";
import { stringify, toJson } from "./json.ts";
import { FieldLogger, type Logger } from "./logger.ts";
import { type ActionListener, EventAction, type MessageAction } from "./message-action.ts";
import { type Instruments, instrumented, type Outcome } from "./observe.ts";
import type { ConnectionIdentity, Settings } from "./options.ts";
import { ownField, parseBody, validate } from "./validate.ts";

/** The state of an app that does not name its keys. */
export type AnyState = { [key: string]: Json };

// biome-ignore lint/suspicious/noExplicitAny: what treats all routes alike can't know their state
export type AnyContext<State extends object = any> = Context<State, any>;

/** What can be kept where `Value` is read: itself, or what becomes it as JSON (a Date, a string). */
export type Storable<Value> = Value | { toJSON(): Value };

type Draft = { -readonly [Name in keyof WebSocketResult]: WebSocketResult[Name] };

const UNPARSED = Symbol("unparsed");

// What the handler may do to a context and an application may not.
export let settle: (ctx: AnyContext, answer: unknown) => void;
export let resultOf: (ctx: AnyContext) => WebSocketResult;
export let isAnswered: (ctx: AnyContext) => boolean;
export let stateOf: (ctx: AnyContext) => ConnectionState | undefined;
export let metadataOf: (ctx: AnyContext) => JsonObject;
/** Takes the identity from the authorizer's context; `false`: it carries none. */
export let authorize: (ctx: AnyContext) => boolean;
/** Takes a connection's row as this event's: its identity, unless the authorizer's stands, and its state. */
export let adoptRow: (ctx: AnyContext, row: Connection | undefined) => void;
export let setInput: (ctx: AnyContext, schema: StandardSchemaV1) => Promise<void>;
/** A middleware has begun this by `next()`. */
export let begin: (ctx: AnyContext, inside: Promise<void>) => void;
/** What was begun last. */
export let latest: (ctx: AnyContext) => Promise<void> | undefined;
/** The innermost middleware is calling the handler. */
export let reach: (ctx: AnyContext, outcome: () => unknown) => void;
/** Made when first asked for. */
export let unawaited: (ctx: AnyContext) => FloatingNext;
/** What goes on though the chain has ended; `undefined` when nothing does. Rejects with what nobody saw. */
export let unfinished: (ctx: AnyContext) => Promise<void> | undefined;
/** Its handler has failed with this. */
export let handlerFailed: (ctx: AnyContext, error: unknown) => void;
export let end: (ctx: AnyContext) => void;
/** What this event runs with: the app's settings, but for what an observer has instrumented. */
export let settingsOf: (ctx: AnyContext) => Settings;
/** The event has failed with this. */
export let fail: (ctx: AnyContext, error: LiftError) => void;
/** The connection's row, if this event has read it. */
export let rowOf: (ctx: AnyContext) => Connection | undefined;

/**
 * One event, and what is answered to it. Nothing is parsed, looked up or started before it is asked for.
 * `State` names what `set` and `get` keep on the connection, `Input` what the route's schema makes of the body.
 */
export class Context<State extends object = AnyState, Input = unknown> {
  readonly event: WebSocketEvent;
  readonly lambda: LambdaContext;
  /** The registered key whose handler this event is for: `$default` where its own is not registered. */
  readonly route: string;
  #settings: Settings;
  #failure: LiftError | undefined;
  /** `null`: read, and there is none. */
  #row: Connection | null | undefined;
  #state: ConnectionState | undefined;
  #draft: Draft | undefined;
  #answered = false;
  #identity: ConnectionIdentity | undefined;
  #fixed: boolean;
  #metadata: JsonObject | undefined;
  #parsed: unknown = UNPARSED;
  #input: Input | undefined;
  #headers: Map<string, string> | undefined;
  #locals: { [name: string]: unknown } | undefined;
  #action: EventAction | undefined;
  #logger: Logger | undefined;
  #deadline: Deadline | undefined;
  #webSocket: WebSocketContext | undefined;
  #latest: Promise<void> | undefined;
  #innermost: (() => unknown) | undefined;
  #unawaited: FloatingNext | undefined;

  constructor(event: WebSocketEvent, lambda: LambdaContext, settings: Settings, route = "$default") {
    this.event = event;
    this.lambda = lambda;
    this.route = route;
    this.#settings = settings;
    this.#fixed = !isConnectEvent(event);
  }

  get connectionId(): string {
    return this.event.requestContext.connectionId;
  }

  get requestId(): string {
    return this.event.requestContext.requestId;
  }

  get routeKey(): string {
    return this.event.requestContext.routeKey;
  }

  /** The registered key; of a message for `$default` the action that the application's `actions` read from it. */
  get action(): string {
    return this.#actionOf()?.name ?? this.route;
  }

  /** The namespaces that the action is about, as the application's `actions` name them. */
  get namespaces(): readonly string[] {
    return this.#actionOf()?.namespaces ?? [];
  }

  /** For middleware: runs `listener` when the event turns out to be another action, such as a message in parts. */
  onAction(listener: ActionListener): void {
    this.#eventAction().onChange(listener);
  }

  /** For applications: makes the event another action. Rejects as the listeners do, with RATE_LIMITED for one. */
  actAs(action: MessageAction): Promise<void> {
    return this.#eventAction().change(action);
  }

  #actionOf(): MessageAction | undefined {
    const { actions } = this.#settings;
    return actions === undefined || this.route !== "$default" ? undefined : this.#eventAction().current;
  }

  #eventAction(): EventAction {
    this.#action ??= new EventAction(() => this.#settings.actions?.read(this));
    return this.#action;
  }

  // --- What came in

  /** A parameter of the URL that the client connected with; on `$connect` only. Of a repeated one, the last. */
  query(name: string): string | undefined {
    const query = "queryStringParameters" in this.event ? this.event.queryStringParameters : undefined;
    return query !== undefined && Object.hasOwn(query, name) ? query[name] : undefined;
  }

  /** A header of the upgrade request, in any case; on `$connect` only. Of a repeated one, the last. */
  header(name: string): string | undefined {
    this.#headers ??= new Map(
      Object.entries("headers" in this.event ? this.event.headers : {}).map(([key, value]) => [
        key.toLowerCase(),
        value,
      ]),
    );
    return this.#headers.get(name.toLowerCase());
  }

  /**
   * A field of the message: `undefined` when it has none, or is JSON but no object. Unvalidated; see `bind`.
   * @throws {LiftError} MALFORMED_JSON
   */
  body(field: string): unknown {
    return ownField(this.#parse(), field);
  }

  /**
   * The whole message, checked and typed by any Standard Schema (zod, valibot, arktype …).
   * @throws {LiftError} MALFORMED_JSON; VALIDATION_ERROR, which names the first issue and has the first 20 as details
   */
  async bind<Schema extends StandardSchemaV1>(schema: Schema): Promise<StandardSchemaV1.InferOutput<Schema>> {
    return validate(schema, this.#parse());
  }

  /** What the route's schema made of the message. `undefined` on a route without one. */
  get input(): Input {
    return this.#input as Input;
  }

  #parse(): unknown {
    if (this.#parsed === UNPARSED) {
      this.#parsed = "body" in this.event ? parseBody(this.event.body) : undefined;
    }
    return this.#parsed;
  }

  // --- What goes back

  /** What the event ends with so far. Default 200. */
  get statusCode(): number {
    return this.#draft?.statusCode ?? 200;
  }

  /**
   * On `$connect` the status decides: 2xx opens the socket, any other refuses the upgrade.
   * @throws {LiftError} INVALID_RESULT: no integer from 100 to 599
   */
  status(statusCode: number): this {
    if (typeof statusCode !== "number" || parseStatusCode(statusCode) === undefined)
      throw invalid(`${statusCode} is no HTTP status`);
    this.#answered = true;
    this.#answer().statusCode = statusCode;
    return this;
  }

  /**
   * The result's body. It reaches the client only from a message route that has a route response; to send, use
   * `reply`. @throws {LiftError} NOT_JSON
   */
  json(value: unknown): this {
    return this.text(stringify(value));
  }

  /** As `json`, for text. */
  text(body: string): this {
    this.#answer().body = body;
    return this;
  }

  /** A header of the result. Only `Sec-WebSocket-Protocol`, on `$connect`, reaches the client. */
  setHeader(name: string, value: string): this {
    const answer = this.#answer();
    answer.headers = { ...answer.headers, [name]: value };
    return this;
  }

  /**
   * Posts a value as JSON to the connection that this event came from.
   * @throws {LiftError} NOT_CONNECTED in `$connect`, NOT_JSON
   */
  reply(value: unknown, options?: PostOptions): Promise<PostOutcome> {
    return this.asWebSocket().sendJSON(value, options);
  }

  /** @throws {LiftError} NOT_WEBSOCKET */
  asWebSocket(): WebSocketContext {
    if (this.#webSocket === undefined) {
      if (typeof this.connectionId !== "string") throw new LiftError("NOT_WEBSOCKET");
      this.#webSocket = new WebSocketContext(this.event, this.#settings, this.lambda);
    }
    return this.#webSocket;
  }

  /** The same object as `asWebSocket`, the name to prefer. */
  asWebSocketV2(): WebSocketContext {
    return this.asWebSocket();
  }

  #answer(): Draft {
    this.#draft ??= { statusCode: 200 };
    return this.#draft;
  }

  // --- Whose connection it is

  /** Established on `$connect`, by the server; nothing in a client's message changes it. */
  get userId(): string | undefined {
    return this.#identity?.userId;
  }

  get tenantId(): string | undefined {
    return this.#identity?.tenantId;
  }

  /** An empty one is nobody. @throws {LiftError} IDENTITY_FIXED outside `$connect`, or when the authorizer says otherwise */
  setUserId(userId: string): this {
    return this.#claim({ userId: userId || undefined, tenantId: this.tenantId });
  }

  /** As `setUserId`; an empty one is no tenant. */
  setTenantId(tenantId: string): this {
    return this.#claim({ userId: this.userId, tenantId: tenantId || undefined });
  }

  /**
   * Adds fields to the connection's metadata, which later events read by `connection()` and can't change.
   * @throws {LiftError} IDENTITY_FIXED outside `$connect`, STATE_NOT_JSON
   */
  setMetadata(fields: object): this {
    if (!isConnectEvent(this.event)) throw new LiftError("IDENTITY_FIXED");
    this.#metadata = { ...this.#metadata, ...(toJson(fields) as JsonObject) };
    return this;
  }

  /** Later events take the identity from the authorizer where it carries one: a row that differs would lie. */
  #claim(identity: ConnectionIdentity): this {
    const same = identity.userId === this.userId && identity.tenantId === this.tenantId;
    if (this.#fixed && !same) {
      const message = isConnectEvent(this.event)
        ? "The authorizer has established the identity; return all of it there, or set the option `identity`"
        : undefined;
      throw new LiftError("IDENTITY_FIXED", message === undefined ? {} : { message });
    }
    this.#identity = identity;
    return this;
  }

  // --- What is kept

  /**
   * Keeps a value on the connection, for its later events, `$disconnect` included. Written once, after the
   * handler, each key on its own; not at all when the handler throws. `undefined` removes the key.
   * @throws {LiftError} STATE_NOT_JSON, RESERVED_KEY, STORE_REQUIRED
   */
  set<Key extends keyof State & string>(key: Key, value: Storable<State[Key]> | undefined): this {
    this.#requireState().set(key, value);
    return this;
  }

  /**
   * A value of the connection's state, as a copy; what this event has set comes first. The first call reads the
   * connection's row, if the event has not read it before. @throws {LiftError} STORE_FAILED, STORE_REQUIRED
   */
  get<Key extends keyof State & string>(key: Key): Promise<State[Key] | undefined> {
    // Most events only read: they need no buffer.
    if (this.#state === undefined && this.#row) {
      return Promise.resolve(copyOfField(this.#row.state, key) as State[Key] | undefined);
    }
    return this.#requireState().get(key) as Promise<State[Key] | undefined>;
  }

  /**
   * Changes a value by what it is now, atomically and at once: for lists and counters that overlapping events
   * share. `change` may run more than once. A key that this event has `set` is changed in what it will write.
   * @throws {LiftError} STATE_NOT_JSON, RESERVED_KEY, STORE_FAILED, STORE_REQUIRED, CONNECTION_CLOSED
   */
  update<Key extends keyof State & string>(
    key: Key,
    change: (current: State[Key] | undefined) => Storable<State[Key]> | undefined,
  ): Promise<State[Key] | undefined> {
    return this.#requireState().update(
      key,
      change as (current: Json | undefined) => unknown,
      isConnectEvent(this.event),
    ) as Promise<State[Key] | undefined>;
  }

  /** The connection's row as it was when this event read it. None on `$connect`. */
  connection(): Promise<Connection | undefined> {
    return this.#requireState().connection();
  }

  /** @throws {LiftError} STORE_REQUIRED */
  get connectionStore(): ConnectionStore {
    if (this.#settings.store === undefined) throw new LiftError("STORE_REQUIRED");
    return this.#settings.store;
  }

  /** Values for this event only. */
  get locals(): { [name: string]: unknown } {
    this.#locals ??= Object.create(null) as { [name: string]: unknown };
    return this.#locals;
  }

  #requireState(): ConnectionState {
    this.#state ??= new ConnectionState(this.connectionStore, this.connectionId, this.lambda, this.#row);
    return this.#state;
  }

  // --- How it goes

  /**
   * How the event has ended: for observers, once their `next()` has resolved. Of a message that was answered by
   * an error frame it has the error's status, though the result says 200.
   */
  get outcome(): Outcome {
    const error = this.#failure;
    return error === undefined
      ? { statusCode: this.statusCode }
      : { statusCode: error.status, code: error.code };
  }

  /** For observers, before `next()`: puts something around what this event sends and stores by. */
  instrument(instruments: Instruments): void {
    this.#settings = instrumented(this.event, this.#settings, instruments);
    this.#webSocket = undefined;
  }

  // --- What it runs in

  /** Puts request id, connection id and route on each line, and the action where the message names one. */
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

  /** ms until the function is stopped. */
  remainingTime(): number {
    return this.lambda.getRemainingTimeInMillis();
  }

  /** Fires a second (option `deadlineMarginMs`) before the function is stopped. */
  get signal(): AbortSignal {
    this.#deadline ??= new Deadline(this.lambda, this.#settings.deadlineMarginMs);
    return this.#deadline.signal;
  }

  static {
    settle = (ctx, answer) => {
      ctx.#answered = true;
      // `(ctx) => ctx.reply(…)` is how a short handler is written: what became of the reply is no result.
      if (answer === undefined || answer === ctx || isPostOutcome(answer)) return;
      ctx.#draft = { ...readResult(answer) };
    };
    resultOf = (ctx) => ctx.#draft ?? { statusCode: 200 };
    isAnswered = (ctx) => ctx.#answered;
    stateOf = (ctx) => ctx.#state;
    metadataOf = (ctx) => ctx.#metadata ?? {};
    authorize = (ctx) => {
      const { authorizer } = ctx.event.requestContext;
      const identity = authorizer === undefined ? undefined : ctx.#settings.identity(authorizer);
      if (identity?.userId === undefined && identity?.tenantId === undefined) return false;
      ctx.#identity = identity;
      ctx.#fixed = true;
      return true;
    };
    adoptRow = (ctx, row) => {
      ctx.#row = row ?? null;
      ctx.#identity ??= row;
    };
    setInput = async (ctx, schema) => {
      ctx.#input = await validate(schema, ctx.#parse());
    };
    begin = (ctx, inside) => {
      ctx.#latest = inside;
    };
    latest = (ctx) => ctx.#latest;
    reach = (ctx, outcome) => {
      ctx.#innermost = outcome;
    };
    unawaited = (ctx) => {
      ctx.#unawaited ??= new FloatingNext();
      return ctx.#unawaited;
    };
    unfinished = (ctx) => {
      const isWell = ctx.#unawaited === undefined && (ctx.#answered || ctx.#latest === undefined);
      return isWell ? undefined : unawaited(ctx).rest(() => ctx.#latest);
    };
    handlerFailed = (ctx, error) => {
      if (ctx.#innermost === undefined || ctx.#latest === undefined) return;
      unawaited(ctx).failed(error, ctx.#innermost, ctx.#latest);
    };
    end = (ctx) => ctx.#deadline?.cancel();
    settingsOf = (ctx) => ctx.#settings;
    fail = (ctx, error) => {
      ctx.#failure = error;
    };
    rowOf = (ctx) => ctx.#row ?? undefined;
  }
}

function isPostOutcome(answer: unknown): answer is PostOutcome {
  return answer === "sent" || answer === "gone" || answer === "connecting";
}

/** @throws {LiftError} INVALID_RESULT, also for a status of numeric text: whether the service takes it is not known */
function readResult(answer: unknown): WebSocketResult {
  try {
    const result = parseWebSocketResult(answer);
    if (result.statusCode === (answer as WebSocketResult).statusCode) return result;
  } catch (cause) {
    throw invalid(`${(cause as TypeError).message}. Return nothing, ctx or a result`);
  }
  throw invalid("The handler's result has a `statusCode` that is not a number");
}

function invalid(message: string): LiftError {
  return new LiftError("INVALID_RESULT", { message });
}
