import { KeyedQueue } from "../internal/keyed-queue.ts";
import { TimeSlices } from "../internal/time-slices.ts";
import {
  type AnyContext,
  jsonLogger,
  Lift,
  LiftError,
  runDetachedWork,
  type ScheduledOptions,
  type Tick,
} from "../lift/index.ts";
import type { WebSocketAuth } from "../lift/middleware/auth/index.ts";
import { parseMessage } from "../protocol/index.ts";
import type { ScheduledItem } from "../store/index.ts";
import { BlobActions } from "./actions/blobs.ts";
import { CatchUp } from "./actions/catch-up.ts";
import { HeartbeatAction } from "./actions/heartbeat.ts";
import { HistoryAction } from "./actions/history.ts";
import { HistoryReader } from "./actions/history-reader.ts";
import { LiveStreamActions } from "./actions/live-streams.ts";
import { createActions } from "./actions/message-action.ts";
import { ABORT_MESSAGE, MessageAssembler } from "./actions/message-assembler.ts";
import { PresenceActions } from "./actions/presence.ts";
import { PublishAction, Publisher } from "./actions/publish.ts";
import { SubscribeAction } from "./actions/subscribe.ts";
import { UnsubscribeAction } from "./actions/unsubscribe.ts";
import {
  type CallContext,
  createEventContext,
  createServerContext,
  createTickContext,
} from "./call-context.ts";
import { Channels } from "./channels.ts";
import { assertConnectionOpen, checkProtocolVersion, readIdentity } from "./connection.ts";
import { CustomRoutes } from "./custom-routes.ts";
import { Dispatcher } from "./dispatch.ts";
import { toLiftError } from "./errors.ts";
import { FanOut } from "./fan-out/fan-out.ts";
import { FanOutRetry, RETRY_FAN_OUT } from "./fan-out/fan-out-retry.ts";
import { StoredFanOut } from "./fan-out/stored-fan-out.ts";
import { toLegacyError } from "./legacy-clients.ts";
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
import { checkNamespaceStores, checkStreamerOptions, type StreamerOptions } from "./options.ts";
import type { RequestCalls } from "./requests/calls.ts";
import { createRequests, requestNamespace } from "./requests/create-requests.ts";
import { OutputHistory } from "./requests/output/history.ts";
import { identityOf } from "./requests/request-keys.ts";
import type { SchemaTypes } from "./schemas.ts";
import { Streamer } from "./streamer.ts";

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
  checkStreamerOptions(options);
  const { channels: namespaces, store, blobs: blobStore, auth, middleware = [], ...others } = options;
  const { maxSubscriptions = 100, heartbeatMs, requests: requestsOptions, ...lift } = others;
  const { schedule, logger = jsonLogger(), now = Date.now } = lift;
  const { history, members } = store;
  const channels = new Channels(
    readNamespaces(namespaces, now),
    store.requests && requestNamespace(store.requests),
  );
  checkNamespaceStores(channels.namespaces, options);

  // One queue and one set of time slices for the process.
  const queue = new KeyedQueue();
  const slices = new TimeSlices();
  const customRoutes = new CustomRoutes(() => app.routeKeys);
  const order = new PresenceOrder(now);
  const fanOut = new FanOut(members, now);
  const streamLog = new StreamLog(history, now);
  const viewers = new ViewerCounts({ members, streamLog, fanOut, schedule, now });
  const watch = new ConnectionWatch(schedule, channels, now, heartbeatMs);
  const owners = new StreamOwners({ members, schedule, channels, watch, now });
  const events = new PresenceEvents(fanOut, slices);
  const remover = new MemberRemover({ members, channels, owners, viewers, events, order, slices, now });
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
  const staleConnections = new StaleConnections({ watch, members, remover, queue, now });
  const storedFanOut = new StoredFanOut(history, fanOut, remover, new FanOutRetry(schedule, now));
  const publisher = new Publisher({ history, fanOut, storedFanOut, remover, now });
  const liveStreams = new LiveStreams({ streamLog, owners, viewers, storedFanOut, now });
  const requests = createRequests({
    store: store.requests,
    blobs: blobStore,
    options: requestsOptions,
    fanOut,
    remover,
    customRoutes,
    readRouteKeys: () => app.routeKeys,
    createContext: () => createServerContext(undefined, app, logger),
    runInMiddleware: (request, budget, attempt) => {
      const { id, action, requester } = request;
      const { userId, tenantId } = identityOf(request);
      const { connectionId = "", endpoint = "https://localhost/stage" } = requester ?? {};
      const work = { id, action, userId, tenantId, connectionId, endpoint, budget };
      return runDetachedWork(app, middleware.flat(), work, attempt);
    },
    watch: (channel, request) => subscribe.watch(channel, request),
    now,
  });
  const readable = store.requests === undefined ? history : new OutputHistory(history, store.requests);
  const historyReader = new HistoryReader(readable, now);
  const catchUp = new CatchUp({ history: readable, reader: historyReader, liveStreams, owners });
  const subscribe = new SubscribeAction({ adder, catchUp, staleConnections, queue });
  const blobs = new BlobActions(channels, blobStore, now);
  const assembler = new MessageAssembler(store.chunks, schedule, now, requests.isCall);

  const dispatcher = new Dispatcher(
    {
      subscribe,
      unsubscribe: new UnsubscribeAction({ channels, members, owners, remover, queue }),
      publish: new PublishAction(channels, publisher),
      history: new HistoryAction(channels, historyReader),
      presence: new PresenceActions({ channels, members, order, remover, now }),
      liveStreams: new LiveStreamActions({ channels, liveStreams, streamLog, owners, staleConnections }),
      heartbeat: new HeartbeatAction(channels, readable, watch),
      blobs,
      assembler,
      calls: requests.calls,
      requests: requests.actions,
      refresh: auth?.refresh,
    },
    customRoutes,
    channels.namespaces,
  );
  const app: Lift = new Lift({
    ...lift,
    logger,
    actions: createActions(channels.namespaces, requests.registry.definitions),
    defaultHandler: (ctx) => handleMessage(ctx, app, auth, dispatcher, requests.isCall),
  });
  app.use(checkProtocolVersion, auth === undefined ? [] : [auth], ...middleware);
  app.webSocket("$disconnect", (ctx) => handleDisconnect(ctx, app, staleConnections, requests.calls, queue));
  app.everyTick(() => requests.processor?.onTick());
  app.onStop(() => requests.processor?.stop());
  registerScheduled(app, { assembler, liveStreams, remover, staleConnections, storedFanOut, viewers });
  return new Streamer({
    app,
    channels,
    store,
    publisher,
    historyReader,
    liveStreams,
    blobs,
    storedFanOut,
    requests,
    logger,
    now,
    hasAuth: auth !== undefined,
  });
}

async function handleMessage(
  ctx: AnyContext,
  app: Lift,
  auth: WebSocketAuth | undefined,
  dispatcher: Dispatcher,
  isCall: (action: string) => boolean,
): Promise<void> {
  try {
    await assertConnectionOpen(ctx, app);
    const message = parseMessage("body" in ctx.event ? ctx.event.body : "", isCall);
    const identity = readIdentity(ctx, auth);
    const requestId = message.id ?? ctx.requestId;
    await dispatcher.dispatch(message, { ...createEventContext(ctx, app), ctx, identity, requestId });
  } catch (thrown) {
    throw toLiftError(await toLegacyError(ctx, thrown));
  }
}

async function handleDisconnect(
  ctx: AnyContext,
  app: Lift,
  staleConnections: StaleConnections,
  calls: RequestCalls,
  queue: KeyedQueue,
): Promise<void> {
  const request = { ...createEventContext(ctx, app), ctx };
  const work = [
    queue.run(ctx.connectionId, () => staleConnections.removeEnded(request)),
    calls.onDisconnect(request),
  ] as const;
  // A failure of one must not end the function while the other runs.
  await Promise.allSettled(work);
  const [isComplete] = await Promise.all(work);
  if (isComplete) return;
  throw new LiftError("STORE_FAILED", {
    cause: "The connection was not removed from all channels; see the log",
  });
}

/** The collaborators that act on scheduled items. */
interface ScheduledCollaborators {
  readonly assembler: MessageAssembler;
  readonly liveStreams: LiveStreams;
  readonly remover: MemberRemover;
  readonly staleConnections: StaleConnections;
  readonly storedFanOut: StoredFanOut;
  readonly viewers: ViewerCounts;
}

function registerScheduled(app: Lift, collaborators: ScheduledCollaborators): void {
  const { assembler, liveStreams, remover, staleConnections, storedFanOut, viewers } = collaborators;
  // Members, owners and stored messages depend on these actions, so they are retried without an end.
  const unlimited: ScheduledOptions = { tries: Number.POSITIVE_INFINITY };
  const onTick = (
    kind: string,
    action: (item: ScheduledItem, context: CallContext, tick: Tick) => Promise<void>,
    options?: ScheduledOptions,
  ) => app.scheduled(kind, (item, tick) => action(item, createTickContext(tick, app), tick), options);

  onTick(CHECK_CONNECTION, (item, context, tick) => staleConnections.onTick(item, tick, context), unlimited);
  onTick(CHECK_STREAM_OWNER, (item, context, tick) => liveStreams.onTick(item, tick, context), unlimited);
  onTick(RETRY_FAN_OUT, (_item, context) => storedFanOut.onTick(context), unlimited);
  onTick(ABORT_MESSAGE, (item, context) => assembler.onTick(item, context));
  onTick(SEND_VIEWER_COUNT, async ({ id }, context) => {
    await remover.removeGone(await viewers.onChange(id, context), context, [id]);
  });
}
