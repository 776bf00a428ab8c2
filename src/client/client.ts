import type {
  ChannelIn,
  HistoryResult,
  JsonNamespaces,
  JsonRequests,
  Namespaces,
  Position,
  PublishResult,
  Requests,
  RequestsOf,
  ServerTypes,
  TypesOf,
} from "../protocol/index.ts";
import type { BlobMethods } from "./channels/blobs.ts";
import { Channels } from "./channels/channels.ts";
import type { StreamMethods } from "./channels/live-stream.ts";
import type { PresenceMethods } from "./channels/presence.ts";
import type { SubscribeOptions, Subscription } from "./channels/subscription.ts";
import type { ClientState } from "./connection/client-state.ts";
import { ConnectionManager } from "./connection/connection-manager.ts";
import type { ClientCore } from "./core.ts";
import { Emitter } from "./emitter.ts";
import { type ClientError, featureMissing } from "./errors.ts";
import type { RequestMethods } from "./jobs/requests.ts";
import { type ClientOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { Outbox, type PublishOptions } from "./outbox/outbox.ts";
import { RequestQueue } from "./requests/request-queue.ts";
import type { RequestOptions } from "./requests/timeouts.ts";

/** Options of `history`. Set at most one of `after` and `before`; without both it returns the newest messages. */
export interface HistoryOptions extends RequestOptions {
  /** Returns messages after this position. */
  readonly after?: Position;
  /** Returns the newest messages before this offset. */
  readonly before?: number;
  /** Maximum number of messages, 1 to 100. Default 100. */
  readonly limit?: number;
}

/**
 * A client of a Streamer server. Pending requests survive a lost connection. A method of a feature throws FEATURE_MISSING
 * unless the option `use` has that feature. `Types` are the payload types of each namespace, `Actions` those of the
 * application's own actions.
 */
export interface Client<Types extends Namespaces = JsonNamespaces, Actions extends Requests = JsonRequests>
  extends RequestMethods<Actions>,
    PresenceMethods<Types>,
    StreamMethods<Types>,
    BlobMethods<Types> {
  /** The state of the connection. */
  readonly state: ClientState;
  /** Calls the listener after every change of `state`. @returns a function that removes it */
  onState(listener: (state: ClientState) => void): () => void;
  /**
   * Calls the listener with errors that no call returns: CONNECT_FAILED after five failures in a row, a loss or a refusal
   * without a listener on the subscription, a failure of the outbox storage. @returns a function that removes it
   */
  onError(listener: (error: ClientError) => void): () => void;
  /** Connects and stays connected. Does nothing when called again. */
  connect(): void;
  /** Disconnects. Keeps subscriptions and the outbox for the next `connect`; other requests reject. */
  disconnect(): void;
  /**
   * Subscribes to a channel, also before `connect`.
   * @throws {ClientError} INVALID_CHANNEL, INVALID_OPTION, NOT_JSON
   * @example
   * const subscription = client.subscribe("room:lobby", { recent: 20, onMessage: ({ data }) => render(data) });
   */
  subscribe<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: SubscribeOptions<
      TypesOf<Types, Channel>["data"],
      TypesOf<Types, Channel>["stateInput"],
      TypesOf<Types, Channel>["state"]
    >,
  ): Subscription<TypesOf<Types, Channel>["data"]>;
  /**
   * Publishes a message. Resends it until the server has stored it, once; waits while offline.
   * @throws {ClientError} not stored: the server's codes, OUTBOX_FULL, TOO_LARGE, NOT_JSON; possibly stored:
   * OUTCOME_UNKNOWN, TIMEOUT, ABORTED
   */
  publish<Channel extends ChannelIn<Types>>(
    channel: Channel,
    data: TypesOf<Types, Channel>["dataInput"],
    options?: PublishOptions,
  ): Promise<PublishResult>;
  /** Reads a page of the channel's history, oldest message first. @throws {ClientError} */
  history<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: HistoryOptions,
  ): Promise<HistoryResult<TypesOf<Types, Channel>["data"]>>;
}

/**
 * Creates a client. Connect it with `connect`. `createClient<typeof streamer>` has the server's channels and payload types;
 * without the type argument, payloads are any JSON.
 * @throws {ClientError} INVALID_OPTION
 * @example
 * const client = createClient<typeof streamer>({ url: "wss://chat.example.com/prod", getToken });
 * client.subscribe("room:lobby", { onMessage: ({ data }) => render(data) });
 * client.connect();
 * await client.publish("room:lobby", { text: "Hello" });
 */
export function createClient<Server extends ServerTypes = ServerTypes<JsonNamespaces, JsonRequests>>(
  options: ClientOptions,
): Client<NonNullable<Server["~channels"]>, RequestsOf<Server>> {
  return buildClient(resolveOptions(options)) as Client<NonNullable<Server["~channels"]>, RequestsOf<Server>>;
}

type FeatureMethods = RequestMethods & PresenceMethods & StreamMethods & BlobMethods;

/** The feature of each method. */
const METHODS: { readonly [Method in keyof FeatureMethods]: string } = {
  request: "requests",
  attach: "requests",
  requests: "requests",
  presence: "presence",
  setPresence: "presence",
  members: "presence",
  stream: "streams",
  upload: "blobs",
  download: "blobs",
};

function buildClient(settings: ResolvedOptions): Client {
  const errors = new Emitter<ClientError>();
  const reportError = (value: ClientError) => errors.emit(value);
  const link = new ConnectionManager(settings, reportError);
  const requests = new RequestQueue(settings, link);
  const channels = new Channels(settings, link, requests, reportError);
  const outbox = new Outbox(settings, requests);
  link.events = channels;
  const core: ClientCore = { settings, link, requests, channels, outbox, reportError };
  const basics: Omit<Client, keyof FeatureMethods> = {
    get state() {
      return link.state;
    },
    // Skips a stale state: an earlier listener has changed it, and this one got the newer state first.
    onState: (listener) => link.states.on((state) => void (state === link.state && listener(state))),
    onError: (listener) => errors.on(listener),
    connect: () => link.connect(),
    disconnect: () => link.disconnect(),
    subscribe: (channel, given) => channels.subscribe(channel, given),
    publish: (channel, data, given) => outbox.publish(channel, data, given),
    history: (channel, given) => requests.query("history", { ...given, channel }),
  };
  const client = basics as Client;
  for (const [method, feature] of Object.entries(METHODS)) {
    client[method as keyof FeatureMethods] = () => {
      throw featureMissing(method, feature);
    };
  }
  for (const feature of settings.use) Object.assign(client, feature.install(core as never));
  return client;
}
