import { KeyedQueue } from "../internal/keyed-queue.ts";
import { TimeSlices } from "../internal/time-slices.ts";
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
import type { ChannelStore, ScheduledItem, TimeBudget } from "../store/index.ts";
import { BlobActions } from "./actions/blobs.ts";
import { CatchUp } from "./actions/catch-up.ts";
import { HeartbeatAction } from "./actions/heartbeat.ts";
import { HistoryAction } from "./actions/history.ts";
import { HistoryReader, type HistorySelection } from "./actions/history-reader.ts";
import { LiveStreamActions } from "./actions/live-streams.ts";
import { createActions } from "./actions/message-action.ts";
import { ABORT_MESSAGE, MessageAssembler } from "./actions/message-chunks.ts";
import { PresenceActions, toUserPresence } from "./actions/presence.ts";
import { PublishAction, Publisher } from "./actions/publish.ts";
import { SubscribeAction } from "./actions/subscribe.ts";
import { UnsubscribeAction } from "./actions/unsubscribe.ts";
import {
  type CallContext,
  createEventContext,
  createServerContext,
  createTickContext,
} from "./call-context.ts";
import { type Channel, Channels, requireLiveStreams, requirePresence } from "./channels.ts";
import { assertConnectionOpen, checkProtocolVersion, readIdentity } from "./connection.ts";
import { CustomRoutes } from "./custom-routes.ts";
import { Dispatcher } from "./dispatch.ts";
import { awaitStore, toLiftError } from "./errors.ts";
import { FanOut } from "./fan-out/fan-out.ts";
import { createFanOutHandler, type FanOutHandler, type FanOutOptions } from "./fan-out/fan-out-recovery.ts";
import { FanOutRetry, RETRY_FAN_OUT } from "./fan-out/fan-out-retry.ts";
import { StoredFanOut } from "./fan-out/stored-fan-out.ts";
import { LiveStreams } from "./live-streams/live-streams.ts";
import { StreamLog } from "./live-streams/stream-log.ts";
import { CHECK_STREAM_OWNER, StreamOwners } from "./live-streams/stream-owners.ts";
import { CHECK_CONNECTION, ConnectionWatch } from "./membership/connection-watch.ts";
import { MemberAdder } from "./membership/join.ts";
import { MemberRemover } from "./membership/leave.ts";
import { PresenceEvents } from "./membership/presence-events.ts";
import { PresenceOrder } from "./membership/presence-order.ts";
import { StaleConnections } from "./membership/stale-connections.ts";
import { SEND_VIEWER_COUNT, ViewerCounts } from "./membership/viewer-count.ts";
import { readNamespaces } from "./namespaces.ts";
import {
  type CallOptions,
  checkNamespaceStores,
  checkStreamerOptions,
  type PublishOptions,
  type ResumeOptions,
  type StreamerDescription,
  type StreamerOptions,
} from "./options.ts";
import { type SchemaTypes, toJson } from "./schemas.ts";

/** Members, owners and stored messages depend on these actions, so they are retried without an end. */
const UNLIMITED: ScheduledOptions = { tries: Number.POSITIVE_INFINITY };

/**
 * A real-time application with channels. Its methods are server-side calls: they bypass the rules for clients. They
 * reject with a `LiftError`: VALIDATION_ERROR (invalid channel name, or data that the schema refuses), NOT_FOUND (unknown
 * namespace, or one without the feature), TOO_LARGE or STORE_FAILED.
 */
export class Streamer<Types extends Namespaces = JsonNamespaces> implements ServerTypes<Types> {
  /** Carries the types of the channels for the client; never set. */
  declare readonly "~channels"?: Types;
  /** The Lift app to run: pass it to `start`, or export its `webSocketHandler()`. Register your own routes on it. */
  readonly app: Lift;
  readonly #auth: WebSocketAuth | undefined;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #store: ChannelStore;
  readonly #channels: Channels;
  readonly #publisher: Publisher;
  readonly #historyReader: HistoryReader;
  readonly #liveStreams: LiveStreams;
  readonly #blobs: BlobActions;
  readonly #storedFanOut: StoredFanOut;
  readonly #staleConnections: StaleConnections;
  readonly #dispatcher: Dispatcher;
  /** Serializes the work of each connection within this process. */
  readonly #queue = new KeyedQueue();

  /** @throws {LiftError} INVALID_OPTION */
  constructor(options: StreamerOptions) {
    checkStreamerOptions(options);
    const { channels: namespaces, store, blobs: blobStore, auth, middleware = [], ...others } = options;
    const { maxSubscriptions = 100, heartbeatMs, ...lift } = others;
    const { schedule, logger = jsonLogger(), now = Date.now } = lift;
    const { history, members } = store;
    const channels = new Channels(readNamespaces(namespaces, now));
    checkNamespaceStores(channels.namespaces, options);
    const queue = this.#queue;
    const slices = new TimeSlices();
    const order = new PresenceOrder(now);
    const fanOut = new FanOut(members, now);
    const streamLog = new StreamLog(history, now);
    const viewers = new ViewerCounts({ members, streamLog, fanOut, schedule, now });
    const watch = new ConnectionWatch(schedule, channels, now, heartbeatMs);
    const owners = new StreamOwners({ members, schedule, channels, watch, now });
    const events = new PresenceEvents(fanOut, slices);
    const remover = new MemberRemover({ members, channels, owners, viewers, events, order, slices, now });
    const staleConnections = new StaleConnections({ watch, members, remover, queue, now });
    const retry = new FanOutRetry(schedule, now);
    const storedFanOut = new StoredFanOut(history, fanOut, remover, retry);
    const publisher = new Publisher({ history, fanOut, storedFanOut, remover, now });
    const liveStreams = new LiveStreams({ streamLog, owners, viewers, storedFanOut, now });
    const reader = new HistoryReader(history, now);
    const catchUp = new CatchUp({ history, reader, liveStreams, owners });
    const customRoutes = new CustomRoutes(() => this.app.routeKeys);
    const adder = new MemberAdder({
      members,
      channels,
      customRoutes,
      watch,
      order,
      remover,
      maxSubscriptions,
      now,
    });
    const blobs = new BlobActions(channels, blobStore, now);
    const assembler = new MessageAssembler(store.chunks, schedule, now);
    this.#dispatcher = new Dispatcher(
      {
        subscribe: new SubscribeAction({ adder, catchUp, staleConnections, queue }),
        unsubscribe: new UnsubscribeAction({ channels, members, owners, remover, queue }),
        publish: new PublishAction(channels, publisher),
        history: new HistoryAction(channels, reader),
        presence: new PresenceActions({ channels, members, order, remover, now }),
        liveStreams: new LiveStreamActions({ channels, liveStreams, streamLog, owners, staleConnections }),
        heartbeat: new HeartbeatAction(channels, history, watch),
        blobs,
        assembler,
        refresh: auth?.refresh,
      },
      customRoutes,
      channels.namespaces,
    );
    this.#auth = auth;
    this.#logger = logger;
    this.#now = now;
    this.#store = store;
    this.#channels = channels;
    this.#publisher = publisher;
    this.#historyReader = reader;
    this.#liveStreams = liveStreams;
    this.#blobs = blobs;
    this.#storedFanOut = storedFanOut;
    this.#staleConnections = staleConnections;
    this.app = new Lift({
      ...lift,
      logger,
      actions: createActions(channels.namespaces),
      defaultHandler: (ctx) => this.#onMessage(ctx),
    });
    this.app.use(checkProtocolVersion, auth === undefined ? [] : [auth], ...middleware);
    this.app.webSocket("$disconnect", (ctx) => this.#onDisconnect(ctx));
    this.#onTick(CHECK_CONNECTION, (...args) => staleConnections.onTick(...args), UNLIMITED);
    this.#onTick(CHECK_STREAM_OWNER, (...args) => liveStreams.onTick(...args), UNLIMITED);
    this.#onTick(ABORT_MESSAGE, (item, _tick, context) => assembler.onTick(item, context));
    this.#onTick(RETRY_FAN_OUT, (_item, _tick, context) => storedFanOut.onTick(context), UNLIMITED);
    this.#onTick(SEND_VIEWER_COUNT, async ({ id }, _tick, context) => {
      await remover.removeGone(await viewers.onChange(id, context), context, [id]);
    });
  }

  /**
   * Publishes a message. Resolves when the message is stored and sent; it also resolves when a stored message could not
   * be sent to every member, because retries complete it.
   * @example
   * await streamer.publish("room:lobby", { text: "Welcome" }, { tenantId: "acme" });
   */
  async publish<Channel extends ChannelIn<Types>>(
    channel: Channel,
    data: TypesOf<Types, Channel>["dataInput"],
    { tenantId, userId, key, others, context }: PublishOptions = {},
  ): Promise<PublishResult> {
    const publication = {
      data: toJson(data),
      userId,
      key,
      others,
      publisher: ["server", userId ?? null] as const,
    };
    const { result, fanOut } = await this.#publisher.publish(
      this.#channels.get(channel, tenantId),
      publication,
      this.#createContext(context),
    );
    await fanOut();
    return result;
  }

  /**
   * Reads a channel's stored messages, without the size limit of the action `history`.
   * @example
   * const { messages } = await streamer.history("room:lobby", { limit: 20 });
   */
  async history<Channel extends ChannelIn<Types>>(
    channel: Channel,
    { tenantId, context, ...selection }: CallOptions & HistorySelection = {},
  ): Promise<HistoryResult<TypesOf<Types, Channel>["data"]>> {
    return this.#historyReader.read(this.#channels.get(channel, tenantId), selection, context);
  }

  /**
   * Lists the users in a channel, each once, in no particular order.
   * @example
   * for await (const { user, state } of streamer.presence("room:lobby")) console.log(user, state);
   */
  async *presence<Channel extends ChannelIn<Types>>(
    channel: Channel,
    { tenantId }: CallOptions = {},
  ): AsyncGenerator<UserPresence<TypesOf<Types, Channel>["state"]>> {
    const found = this.#channels.get(channel, tenantId);
    requirePresence(found);
    for await (const presence of this.#store.members.listPresence(found.key, this.#now())) {
      yield toUserPresence(presence);
    }
  }

  /**
   * Counts a channel's connections.
   * @example
   * const connections = await streamer.count("room:lobby");
   */
  async count(channel: ChannelIn<Types>, { tenantId }: CallOptions = {}): Promise<number> {
    const { key } = this.#channels.get(channel, tenantId);
    return awaitStore(this.#store.members.count(key, this.#now()));
  }

  /**
   * Returns a channel's live stream, or `undefined` when nobody streams.
   * @example
   * const live = await streamer.stream("show:evening");
   */
  async stream(
    channel: ChannelIn<Types>,
    { tenantId, context }: CallOptions = {},
  ): Promise<LiveStream | undefined> {
    return this.#liveStreams.get(this.#withLiveStreams(channel, tenantId), context);
  }

  /**
   * Ends a channel's live stream, whoever owns it, and informs the members. Resolves to whether a stream was ended.
   * @example
   * await streamer.endStream("show:evening");
   */
  async endStream(channel: ChannelIn<Types>, { tenantId, context }: CallOptions = {}): Promise<boolean> {
    const { key } = this.#withLiveStreams(channel, tenantId);
    return this.#liveStreams.end(key, "ended", this.#createContext(context));
  }

  /**
   * Returns a URL at which anyone can download a blob of the channel for 15 minutes.
   * @param blob the ID that `upload` returned
   * @example
   * const { url } = await streamer.download("room:lobby", blob);
   */
  async download(
    channel: ChannelIn<Types>,
    blob: string,
    { tenantId }: Omit<CallOptions, "context"> = {},
  ): Promise<DownloadResult> {
    return this.#blobs.downloadUrl(this.#channels.get(channel, tenantId), blob);
  }

  /**
   * Resumes the fan-out of stored messages whose process died before it had sent them to all members. Call it when a
   * process starts. Resolves to the number of completed fan-outs; the log has the reasons of those that failed, which
   * stay pending.
   * @example
   * await streamer.resume();
   */
  async resume({ storedBefore = Number.MAX_SAFE_INTEGER, context }: ResumeOptions = {}): Promise<number> {
    return this.#storedFanOut.resumeFanOuts(storedBefore, this.#createContext(context));
  }

  /**
   * Creates a Lambda handler for the stream of the messages' table. On AWS it replaces `resume`: it completes the fan-out
   * of messages that were not sent to all members within the grace period. It reports messages that it had no time for,
   * so configure the event source with `ReportBatchItemFailures`.
   * @throws {LiftError} INVALID_OPTION, also when the store has no table stream
   * @example
   * export const handler = streamer.fanOutHandler();
   */
  fanOutHandler(options: FanOutOptions = {}): FanOutHandler {
    const recovery = {
      history: this.#store.history,
      storedFanOut: this.#storedFanOut,
      createContext: (budget: TimeBudget) => this.#createContext(budget),
      now: this.#now,
    };
    return createFanOutHandler(recovery, options);
  }

  /**
   * Describes the namespaces and the authentication, for generated documentation.
   * @example
   * const { namespaces } = streamer.describe();
   */
  describe(): StreamerDescription {
    return { namespaces: this.#channels.namespaces, auth: this.#auth !== undefined };
  }

  #withLiveStreams(name: string, tenantId: string | undefined): Channel {
    const channel = this.#channels.get(name, tenantId);
    requireLiveStreams(channel);
    return channel;
  }

  async #onMessage(ctx: AnyContext): Promise<void> {
    try {
      await assertConnectionOpen(ctx, this.app);
      const message = parseRequest("body" in ctx.event ? ctx.event.body : "");
      const identity = readIdentity(ctx, this.#auth);
      const requestId = message.id ?? ctx.requestId;
      await this.#dispatcher.dispatch(message, {
        ...createEventContext(ctx, this.app),
        ctx,
        identity,
        requestId,
      });
    } catch (thrown) {
      throw toLiftError(thrown);
    }
  }

  async #onDisconnect(ctx: AnyContext): Promise<void> {
    const request = { ...createEventContext(ctx, this.app), ctx };
    const isComplete = await this.#queue.run(ctx.connectionId, () =>
      this.#staleConnections.removeEnded(request),
    );
    if (isComplete) return;
    throw new LiftError("STORE_FAILED", {
      cause: "The connection was not removed from all channels; see the log",
    });
  }

  #onTick(
    kind: string,
    action: (item: ScheduledItem, tick: Tick, context: CallContext) => Promise<void>,
    options?: ScheduledOptions,
  ): void {
    this.app.scheduled(kind, (item, tick) => action(item, tick, createTickContext(tick, this.app)), options);
  }

  #createContext(budget: TimeBudget | undefined): CallContext {
    return createServerContext(budget, this.app, this.#logger);
  }
}

/**
 * Creates a real-time application with channels, typed by their schemas.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * const streamer = createStreamer({
 *   channels: { room: { presence: true, subscribe: () => true, publish: () => true } },
 *   store: memoryChannelStore(),
 *   connectionStore: memoryConnectionStore(),
 * });
 * await start(streamer.app);
 */
export function createStreamer<Data, State>(
  options: StreamerOptions<Data, State>,
): Streamer<SchemaTypes<Data, State>> {
  return new Streamer(options);
}
