import type { Lift, Logger } from "../lift/index.ts";
import type {
  ChannelIn,
  DownloadResult,
  HistoryResult,
  JsonNamespaces,
  LiveStream,
  Namespaces,
  PublishResult,
  Requests,
  ServerTypes,
  TypesOf,
  UserPresence,
} from "../protocol/index.ts";
import type { ChannelStore, TimeBudget } from "../store/index.ts";
import type { BlobActions } from "./actions/blobs.ts";
import type { HistoryReader, HistorySelection } from "./actions/history-reader.ts";
import { toUserPresence } from "./actions/presence.ts";
import type { Publisher } from "./actions/publish.ts";
import { type CallContext, createServerContext } from "./call-context.ts";
import { type Channel, type Channels, requireLiveStreams, requirePresence } from "./channels.ts";
import { awaitStore, invalidOption } from "./errors.ts";
import { createFanOutHandler, type FanOutHandler, type FanOutOptions } from "./fan-out/fan-out-recovery.ts";
import type { StoredFanOut } from "./fan-out/stored-fan-out.ts";
import type { LiveStreams } from "./live-streams/live-streams.ts";
import type { CallOptions, PublishOptions, ResumeOptions, StreamerDescription } from "./options.ts";
import type { RequestCollaborators } from "./requests/create-requests.ts";
import { type DispatchHandler, type DispatchOptions, RequestDispatcher } from "./requests/dispatch.ts";
import {
  defineRequest,
  type HandlerInput,
  type HandlerResult,
  type RequestHandler,
  type RequestOptions,
  type SchemaInput,
  type SchemaOutput,
} from "./requests/options.ts";
import type { StoredRequests } from "./requests/stored-requests.ts";
import { createWorkerHandler, type WorkerHandler, type WorkerOptions } from "./requests/worker.ts";
import { toJson } from "./schemas.ts";

/** The types of a streamer without actions of its own. */
type NoRequests = Record<never, never>;

/** The collaborators of the server-side calls. */
interface StreamerCollaborators {
  readonly app: Lift;
  readonly channels: Channels;
  readonly store: ChannelStore;
  readonly publisher: Publisher;
  readonly historyReader: HistoryReader;
  readonly liveStreams: LiveStreams;
  readonly blobs: BlobActions;
  readonly storedFanOut: StoredFanOut;
  readonly requests: RequestCollaborators;
  readonly logger: Logger;
  /** ms since the epoch. */
  readonly now: () => number;
  readonly hasAuth: boolean;
}

/**
 * A real-time application with channels. Its methods are server-side calls: they bypass the rules for clients. They
 * reject with a `LiftError`: VALIDATION_ERROR (invalid channel name, or data that the schema refuses), NOT_FOUND (unknown
 * namespace, or one without the feature), TOO_LARGE or STORE_FAILED.
 */
export class Streamer<Types extends Namespaces = JsonNamespaces, Actions extends Requests = NoRequests>
  implements ServerTypes<Types, Actions>
{
  /** Carries the types of the channels for the client; never set. */
  declare readonly "~channels"?: Types;
  /** Carries the types of the application's own actions for the client; never set. */
  declare readonly "~requests"?: Actions;
  /** The Lift app to run: pass it to `start`, or export its `webSocketHandler()`. Register your own routes on it. */
  readonly app: Lift;
  readonly #channels: Channels;
  readonly #store: ChannelStore;
  readonly #publisher: Publisher;
  readonly #historyReader: HistoryReader;
  readonly #liveStreams: LiveStreams;
  readonly #blobs: BlobActions;
  readonly #storedFanOut: StoredFanOut;
  readonly #requests: RequestCollaborators;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #hasAuth: boolean;

  constructor(collaborators: StreamerCollaborators) {
    this.app = collaborators.app;
    this.#channels = collaborators.channels;
    this.#store = collaborators.store;
    this.#publisher = collaborators.publisher;
    this.#historyReader = collaborators.historyReader;
    this.#liveStreams = collaborators.liveStreams;
    this.#blobs = collaborators.blobs;
    this.#storedFanOut = collaborators.storedFanOut;
    this.#requests = collaborators.requests;
    this.#logger = collaborators.logger;
    this.#now = collaborators.now;
    this.#hasAuth = collaborators.hasAuth;
  }

  /** The stored requests, for server code. `undefined` when the store keeps none. */
  get requests(): StoredRequests | undefined {
    return this.#requests.stored;
  }

  /**
   * Registers one of the application's own actions, which clients call with `client.request`. A short one is answered in
   * place. A long one is stored before it is acknowledged: it survives the connection and the process, reports progress,
   * writes output that can be read again, and is retried and cancelled.
   * @returns this streamer, with the action's types for `createClient<typeof streamer>`
   * @throws {LiftError} INVALID_OPTION; ROUTE_EXISTS when the name is taken
   * @example
   * const streamer = createStreamer(options).request(
   *   "count",
   *   { input: z.object({ to: z.number() }), estimatedMs: 60_000 },
   *   async ({ to }, { output, signal }) => {
   *     for (let n = output.written + 1; n <= to && !signal.aborted; n++) await output.write(`${n} `);
   *     return { counted: to };
   *   },
   * );
   */
  request<Name extends string, Input, Result, Progress>(
    name: Name,
    options: RequestOptions<Input, Result, Progress>,
    handler: RequestHandler<HandlerInput<Input>, HandlerResult<Result>>,
  ): Streamer<
    Types,
    Actions & {
      readonly [Action in Name]: {
        readonly input: SchemaInput<Input>;
        readonly result: SchemaOutput<Result>;
        readonly progress: SchemaOutput<Progress>;
      };
    }
  > {
    this.#requests.registry.add(defineRequest(name, options, handler as RequestHandler));
    return this as never;
  }

  /**
   * Publishes a message. Resolves when the message is stored and sent; it also resolves when a stored message could not
   * be sent to every member, because retries complete it.
   * @example
   * await streamer.publish("room:lobby", { text: "Welcome" }, { tenantId: "acme" });
   */
  async publish<Name extends ChannelIn<Types>>(
    channel: Name,
    data: TypesOf<Types, Name>["dataInput"],
    { tenantId, userId, key, others, context }: PublishOptions = {},
  ): Promise<PublishResult> {
    const found = this.#channels.get(channel, { tenantId });
    const publisher = ["server", userId ?? null] as const;
    const publication = { data: toJson(data), userId, key, others, publisher };
    const call = this.#createContext(context);
    const { result, fanOut } = await this.#publisher.publish(found, publication, call);
    await fanOut();
    return result;
  }

  /**
   * Reads a channel's stored messages, without the size limit of the action `history`.
   * @example
   * const { messages } = await streamer.history("room:lobby", { limit: 20 });
   */
  async history<Name extends ChannelIn<Types>>(
    channel: Name,
    { tenantId, context, ...selection }: CallOptions & HistorySelection = {},
  ): Promise<HistoryResult<TypesOf<Types, Name>["data"]>> {
    return this.#historyReader.read(this.#channels.get(channel, { tenantId }), selection, context);
  }

  /**
   * Lists the users in a channel, each once, in no particular order.
   * @example
   * for await (const { user, state } of streamer.presence("room:lobby")) console.log(user, state);
   */
  async *presence<Name extends ChannelIn<Types>>(
    channel: Name,
    { tenantId }: CallOptions = {},
  ): AsyncGenerator<UserPresence<TypesOf<Types, Name>["state"]>> {
    const found = this.#channels.get(channel, { tenantId });
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
    const { key } = this.#channels.get(channel, { tenantId });
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
   * Ends a channel's live stream, regardless of its owner, and informs the members. Resolves to whether a stream was
   * ended.
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
    return this.#blobs.downloadUrl(this.#channels.get(channel, { tenantId }), blob);
  }

  /**
   * Resumes what a process that died has left: the fan-out of stored messages that it had not sent to all members, and
   * stored requests. Call it when a process starts. Resolves to the number of completed fan-outs; the log has the reasons of those that failed, which
   * stay pending.
   * @example
   * await streamer.resume();
   */
  async resume({ storedBefore = Number.MAX_SAFE_INTEGER, context }: ResumeOptions = {}): Promise<number> {
    await awaitStore(this.#requests.processor?.load() ?? Promise.resolve());
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
   * Creates a Lambda handler that starts stored requests in a worker function. Give it two event sources: the stream of the
   * requests' table, with `ReportBatchItemFailures`, and a schedule of one minute, which starts delayed requests, retries
   * and those whose worker has died.
   * @throws {LiftError} INVALID_OPTION, also when the store has no table stream
   * @example
   * export const handler = streamer.dispatchHandler({
   *   invoke: lambdaInvoker({ functionName: "worker" }),
   *   limits: { all: 100, tenant: 10 },
   * });
   */
  dispatchHandler(options: DispatchOptions): DispatchHandler {
    return new RequestDispatcher(this.#requireRuns(), options).handle;
  }

  /**
   * Creates a Lambda handler that runs one stored request, and then starts the next one that waits. It hands a request over
   * to another invocation when its own time ends.
   * @throws {LiftError} INVALID_OPTION, also when the store has no table stream
   * @example
   * export const handler = streamer.workerHandler({
   *   invoke: lambdaInvoker({ functionName: "worker" }),
   *   limits: { all: 100, tenant: 10 },
   * });
   */
  workerHandler(options: WorkerOptions): WorkerHandler {
    const { registry } = this.#requests;
    return createWorkerHandler({ ...this.#requireRuns(), registry }, options);
  }

  /**
   * Describes the namespaces and the authentication, for generated documentation.
   * @example
   * const { namespaces } = streamer.describe();
   */
  describe(): StreamerDescription {
    return {
      namespaces: this.#channels.namespaces,
      requests: this.#requests.registry.describe(),
      auth: this.#hasAuth,
    };
  }

  #withLiveStreams(name: string, tenantId: string | undefined): Channel {
    const channel = this.#channels.get(name, { tenantId });
    requireLiveStreams(channel);
    return channel;
  }

  /** @throws {LiftError} INVALID_OPTION */
  #requireRuns() {
    const { run } = this.#requests;
    if (run === undefined) throw invalidOption("The `store` has no `requests`");
    return { ...run, createContext: (budget: TimeBudget) => this.#createContext(budget) };
  }

  #createContext(budget: TimeBudget | undefined): CallContext {
    return createServerContext(budget, this.app, this.#logger);
  }
}
