import {
  type AnyContext,
  jsonLogger,
  Lift,
  LiftError,
  type Logger,
  type ScheduledOptions,
  type Tick,
} from "../lift/index.ts";
import type { WebSocketAuth } from "../lift/middleware/auth/index.ts";
import {
  type ChannelIn,
  type DownloadResult,
  type HistoryResult,
  type JsonNamespaces,
  type LiveStream,
  type Namespaces,
  type PublishResult,
  parseRequest,
  type ServerTypes,
  type TypesOf,
  type UserPresence,
} from "../protocol/index.ts";
import type { ScheduledItem, TimeBudget } from "../store/index.ts";
import { eventScope, serverScope, tickScope } from "./access.ts";
import { whereIs } from "./actions/blobs.ts";
import { type HistoryRequest, readHistory } from "./actions/history.ts";
import { streamerActions } from "./actions/message-action.ts";
import { PARTS } from "./actions/message-chunks.ts";
import { userPresence } from "./actions/presence.ts";
import { publishTo } from "./actions/publish.ts";
import type { Core, Scope } from "./core.ts";
import { coreOf } from "./core-of.ts";
import { act } from "./dispatch.ts";
import { asLiftError, fromStore } from "./fan-out/errors.ts";
import { type FanOutHandler, type FanOutOptions, fanOutHandler } from "./fan-out/fan-out-recovery.ts";
import { GO_ON } from "./fan-out/fan-out-retry.ts";
import { assertOpen, identityOf } from "./identity.ts";
import { endStream, liveIn, OWNER_LEFT } from "./live-streams/live-streams.ts";
import { SWEEP } from "./membership/stale-connections.ts";
import { VIEWERS } from "./membership/viewer-count.ts";
import {
  assertLive,
  assertPresence,
  type Channel,
  Channels,
  type NamespaceDescription,
} from "./namespaces.ts";
import { checkStreamerOptions, type StreamerOptions } from "./options.ts";
import { checkProtocolVersion } from "./protocol-version.ts";
import type { SchemaTypes } from "./schema-types.ts";
import { asSent } from "./schemas.ts";

/** Members, owners and stored messages depend on these actions: no number of failures ends them. */
const ENDLESS: ScheduledOptions = { tries: Number.POSITIVE_INFINITY };

/** Whose channel a call of the server's own is about. */
export interface ServerOptions {
  /** Absent: the scope of connections without a tenant. */
  readonly tenantId?: string | undefined;
  /** A Lambda's context: the call ends in its time. Default: each step of it in 60 s. */
  readonly context?: TimeBudget | undefined;
}

export interface PublishOptions extends ServerOptions {
  /** Who the message says it is from. Default: nobody, the server. */
  readonly userId?: string | undefined;
  /** The same key within 5 minutes publishes once, in an at-least-once channel. Any text. */
  readonly key?: string | undefined;
  /** A connection that does not get it, as a route of your own knows it: `ctx.connectionId`. At-most-once only. */
  readonly except?: string | undefined;
}

export interface ResumeOptions {
  /** Only what was stored before; ms since the epoch. Default: everything but what this process is sending. */
  readonly storedBefore?: number | undefined;
  readonly context?: TimeBudget | undefined;
}

/** What a Streamer is made of, for who documents it. */
export interface StreamerDescription {
  readonly namespaces: ReadonlyMap<string, NamespaceDescription>;
  /** Whether clients come with a token, and can send a new one. */
  readonly auth: boolean;
}

/**
 * An application of channels. Each of its calls may reject with a `LiftError`: VALIDATION_ERROR (no channel's name, or
 * data that its schema refuses), NOT_FOUND (no such namespace, or it has nothing of the kind), TOO_LARGE, STORE_FAILED.
 */
export class Streamer<Types extends Namespaces = JsonNamespaces> implements ServerTypes<Types> {
  declare readonly "~channels"?: Types;
  /** What runs: hand it to `start`, or export its `webSocketHandler()`. Routes and middleware of your own go there. */
  readonly app: Lift;
  readonly #core: Core;
  readonly #auth: WebSocketAuth | undefined;
  readonly #logger: Logger;
  /** Read on the first message: no route is registered after that. */
  #routeKeys: ReadonlySet<string> | undefined;

  /** @throws {LiftError} INVALID_OPTION */
  constructor(options: StreamerOptions) {
    checkStreamerOptions(options);
    const { channels, store, blobs, auth, middleware = [], ...others } = options;
    const { maxSubscriptions = 100, heartbeatMs, ...lift } = others;
    const { logger = jsonLogger(), now = Date.now } = lift;
    this.#core = coreOf(
      { store, schedule: lift.schedule, now, heartbeatMs, channels: new Channels(channels, now) },
      {
        blobs,
        maxSubscriptions,
        hasRoute: (action) => {
          this.#routeKeys ??= new Set(this.app.routeKeys);
          return this.#routeKeys.has(action);
        },
        refresh: auth?.refresh,
      },
    );
    this.#auth = auth;
    this.#logger = logger;
    this.app = new Lift({
      ...lift,
      logger,
      actions: streamerActions(this.#core.channels.namespaces),
      defaultHandler: (ctx) => this.#message(ctx),
    });
    this.app.use(checkProtocolVersion, auth === undefined ? [] : [auth], ...middleware);
    this.app.webSocket("$disconnect", (ctx) => this.#disconnected(ctx));
    const { sweep, streams, viewers, departures, parts, secondTries } = this.#core;
    this.#scheduled(SWEEP, (item, tick, scope) => sweep.look(item, tick, scope, this.#core), ENDLESS);
    this.#scheduled(OWNER_LEFT, (item, tick, scope) => streams.look(item, tick, scope, this.#core), ENDLESS);
    this.#scheduled(PARTS, (item, _tick, scope) => parts.look(item, scope));
    this.#scheduled(GO_ON, (_item, _tick, scope) => secondTries.look(scope, this.#core), ENDLESS);
    this.#scheduled(VIEWERS, async ({ id }, _tick, scope) => {
      await departures.removeGone(await viewers.changed(id, scope), scope, [id]);
    });
  }

  /**
   * Publishes, whatever the rules for clients say. Resolves when the message is stored and has been sent; what was
   * stored, and could not be sent to everyone, resolves too.
   */
  async publish<Channel extends ChannelIn<Types>>(
    channel: Channel,
    data: TypesOf<Types, Channel>["dataInput"],
    { tenantId, userId, key, except, context }: PublishOptions = {},
  ): Promise<PublishResult> {
    const to = this.#core.channels.find(channel, tenantId);
    const publication = {
      data: asSent(data),
      userId,
      key,
      except,
      publisher: ["server", userId ?? null] as const,
    };
    const { result, fanOut } = await publishTo(to, publication, this.#scope(context), this.#core);
    await fanOut();
    return result;
  }

  /** As the protocol's `history`, of any channel, and of any size. */
  async history<Channel extends ChannelIn<Types>>(
    channel: Channel,
    { tenantId, context, ...which }: ServerOptions & HistoryRequest = {},
  ): Promise<HistoryResult<TypesOf<Types, Channel>["data"]>> {
    return readHistory(this.#core.channels.find(channel, tenantId), which, this.#core, context);
  }

  /** Each user who is in the channel once, in no order. */
  async *presence<Channel extends ChannelIn<Types>>(
    channel: Channel,
    { tenantId }: ServerOptions = {},
  ): AsyncGenerator<UserPresence<TypesOf<Types, Channel>["state"]>> {
    const { key } = this.#withPresence(channel, tenantId);
    const { store, now } = this.#core;
    for await (const one of store.members.listPresence(key, now())) yield userPresence(one);
  }

  /** The channel's connections. */
  async count(channel: ChannelIn<Types>, { tenantId }: ServerOptions = {}): Promise<number> {
    const { channels, store, now } = this.#core;
    return fromStore(store.members.count(channels.find(channel, tenantId).key, now()));
  }

  /** Who streams in the channel. */
  async stream(
    channel: ChannelIn<Types>,
    { tenantId, context }: ServerOptions = {},
  ): Promise<LiveStream | undefined> {
    return liveIn(this.#streamed(channel, tenantId), context, this.#core);
  }

  /** Ends whosever stream it is, and tells the members. Resolves to whether there was one. */
  async endStream(channel: ChannelIn<Types>, { tenantId, context }: ServerOptions = {}): Promise<boolean> {
    return endStream(this.#streamed(channel, tenantId).key, "ended", this.#scope(context), this.#core);
  }

  /** A URL that somebody may read a blob of the channel by, for 15 minutes. */
  async download(
    channel: ChannelIn<Types>,
    blob: string,
    { tenantId }: Omit<ServerOptions, "context"> = {},
  ): Promise<DownloadResult> {
    return whereIs(this.#core.channels.find(channel, tenantId), blob, this.#core);
  }

  /**
   * Goes on with what was stored and has not been sent to everyone, because the process that stored it has died: call
   * it when one starts. Resolves to how many it has finished; what fails stays, and the log has the reasons.
   */
  async resume({ storedBefore = Number.MAX_SAFE_INTEGER, context }: ResumeOptions = {}): Promise<number> {
    return this.#core.secondTries.goOn(storedBefore, this.#scope(context), this.#core);
  }

  /**
   * A Lambda handler for the stream of the table that messages are in: on AWS it stands in for `resume`. It goes on with
   * what was stored, and has not been sent to everyone when its grace is over, from where its publisher has left it, and
   * reports what it had no time for, which the service then sends again: the event source must take such reports.
   * @throws {LiftError} INVALID_OPTION, also where the store has no stream
   */
  fanOutHandler(options: FanOutOptions = {}): FanOutHandler {
    return fanOutHandler(this.#core, (context) => this.#scope(context), options);
  }

  describe(): StreamerDescription {
    return { namespaces: this.#core.channels.namespaces, auth: this.#auth !== undefined };
  }

  #withPresence(channel: string, tenantId: string | undefined): Channel {
    const found = this.#core.channels.find(channel, tenantId);
    assertPresence(found);
    return found;
  }

  #streamed(channel: string, tenantId: string | undefined): Channel {
    const found = this.#core.channels.find(channel, tenantId);
    assertLive(found);
    return found;
  }

  async #message(ctx: AnyContext): Promise<void> {
    try {
      await assertOpen(ctx, this.app);
      const request = parseRequest("body" in ctx.event ? ctx.event.body : "");
      const identity = identityOf(ctx, this.#auth);
      const requestId = request.id ?? ctx.requestId;
      await act(request, { ...eventScope(ctx, this.app), ctx, identity, requestId }, this.#core);
    } catch (thrown) {
      throw asLiftError(thrown);
    }
  }

  async #disconnected(ctx: AnyContext): Promise<void> {
    const { turns, sweep } = this.#core;
    const leave = () => sweep.ended({ ...eventScope(ctx, this.app), ctx }, this.#core);
    const whole = await turns.run(ctx.connectionId, leave);
    if (!whole) throw new LiftError("STORE_FAILED", { cause: "The log has what was not left" });
  }

  #scheduled(
    kind: string,
    act: (item: ScheduledItem, tick: Tick, scope: Scope) => Promise<void>,
    options?: ScheduledOptions,
  ): void {
    this.app.scheduled(kind, (item, tick) => act(item, tick, tickScope(tick, this.app)), options);
  }

  #scope(context: TimeBudget | undefined): Scope {
    return serverScope(context, this.app, this.#logger);
  }
}

/**
 * Makes an application of channels, typed by their schemas.
 * @throws {LiftError} INVALID_OPTION
 */
export function createStreamer<Data, State>(
  options: StreamerOptions<Data, State>,
): Streamer<SchemaTypes<Data, State>> {
  return new Streamer(options);
}
