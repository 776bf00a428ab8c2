import type {
  ChannelIn,
  HistoryResult,
  JsonNamespaces,
  Namespaces,
  Position,
  PresenceResult,
  PublishResult,
  ServerTypes,
  TypesOf,
} from "../protocol/index.ts";
import { download, upload } from "./channels/blobs.ts";
import { Channels } from "./channels/channels.ts";
import { openStream, type Stream } from "./channels/live-stream.ts";
import { type Members, openMembers } from "./channels/members.ts";
import type { ClientState } from "./channels/state.ts";
import type { SubscribeOptions, Subscription } from "./channels/subscription.ts";
import { ConnectionManager } from "./connection/connection-manager.ts";
import { Emitter } from "./emitter.ts";
import type { ClientError } from "./errors.ts";
import { type ClientOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { Outbox, type PublishOptions } from "./outbox/outbox.ts";
import { RequestQueue } from "./requests/request-queue.ts";
import type { RequestOptions } from "./requests/timeouts.ts";

export interface PresenceOptions extends RequestOptions {
  /** Those behind this user, who may have left. */
  readonly after?: string;
}

export interface HistoryOptions extends RequestOptions {
  /** Those after it. */
  readonly after?: Position;
  /** The newest of those before this offset. */
  readonly before?: number;
  /** 1 to 100; default 100. */
  readonly limit?: number;
}

/**
 * An application's end of Streamer's protocol. What waits for an answer survives the connection.
 * `Types` says what the channels of each namespace carry.
 */
export interface Client<Types extends Namespaces = JsonNamespaces> {
  readonly state: ClientState;
  /** @returns what ends it */
  onState(listener: (state: ClientState) => void): () => void;
  /**
   * What has no other place to be told: CONNECT_FAILED after five failures in a row, a loss or a refusal that no
   * subscription takes, an outbox that can't be kept. @returns what ends it
   */
  onError(listener: (error: ClientError) => void): () => void;
  /** Connects, and stays connected. While it is, again, does nothing. */
  connect(): void;
  /** Subscriptions and the outbox stay, for the next `connect`; other requests reject. */
  disconnect(): void;
  /** Works before `connect` as well. @throws {ClientError} INVALID_CHANNEL, INVALID_OPTION, NOT_JSON */
  subscribe<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: SubscribeOptions<
      TypesOf<Types, Channel>["data"],
      TypesOf<Types, Channel>["stateInput"],
      TypesOf<Types, Channel>["state"]
    >,
  ): Subscription<TypesOf<Types, Channel>["data"]>;
  /**
   * Resolves when the message is stored, once, however often it had to be sent. Offline it waits.
   * Rejects with a ClientError: it is not stored after the server's, OUTBOX_FULL, TOO_LARGE and NOT_JSON, and may be after
   * OUTCOME_UNKNOWN, TIMEOUT and ABORTED.
   */
  publish<Channel extends ChannelIn<Types>>(
    channel: Channel,
    data: TypesOf<Types, Channel>["dataInput"],
    options?: PublishOptions,
  ): Promise<PublishResult>;
  history<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: HistoryOptions,
  ): Promise<HistoryResult<TypesOf<Types, Channel>["data"]>>;
  /** Who is in a channel now, as many as one frame takes. */
  presence<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: PresenceOptions,
  ): Promise<PresenceResult<TypesOf<Types, Channel>["state"]>>;
  /** What the user shows of themself in a channel that they are in; it is shown again after a reconnect. */
  setPresence<Channel extends ChannelIn<Types>>(
    channel: Channel,
    state: TypesOf<Types, Channel>["stateInput"] | undefined,
    options?: RequestOptions,
  ): Promise<void>;
  /** Who is in a channel, from now on. @throws {ClientError} INVALID_CHANNEL */
  members<Channel extends ChannelIn<Types>>(channel: Channel): Members<TypesOf<Types, Channel>["state"]>;
  /**
   * Uploads what is too large for a message, to be published by its name, which this resolves to. `timeoutMs` is for the
   * server's answer, `signal` for all of it. Rejects with a ClientError: the server's, TRANSFER_FAILED, ABORTED.
   */
  upload(channel: ChannelIn<Types>, file: Blob, options?: RequestOptions): Promise<string>;
  /** Reads a blob of the channel. Rejects as `upload` does. */
  download(channel: ChannelIn<Types>, blob: string, options?: RequestOptions): Promise<Response>;
  /** Who streams in a channel, from now on, and the user's own stream. @throws {ClientError} INVALID_CHANNEL */
  stream(channel: ChannelIn<Types>): Stream;
}

/**
 * `createClient<typeof streamer>` knows the server's channels, and what they carry, by its schemas; without it that is JSON.
 * @throws {ClientError} INVALID_OPTION
 */
export function createClient<Server extends ServerTypes = ServerTypes<JsonNamespaces>>(
  options: ClientOptions,
): Client<NonNullable<Server["~channels"]>> {
  return buildClient(resolveOptions(options)) as Client<NonNullable<Server["~channels"]>>;
}

function buildClient(settings: ResolvedOptions): Client {
  const { clock } = settings;
  const errors = new Emitter<ClientError>();
  const error = (value: ClientError) => errors.emit(value);
  const link = new ConnectionManager(settings, error);
  const requests = new RequestQueue(settings, link);
  const channels = new Channels(settings, link, requests, error);
  const outbox = new Outbox(settings, requests, error);
  link.events = channels;
  return {
    get state() {
      return link.state;
    },
    // When a listener before this one has changed it, that was told first.
    onState: (listener) => link.states.on((state) => void (state === link.state && listener(state))),
    onError: (listener) => errors.on(listener),
    connect: () => link.connect(),
    disconnect: () => link.disconnect(),
    subscribe: (channel, given) => channels.subscribe(channel, given),
    publish: (channel, data, given) => outbox.publish(channel, data, given),
    history(channel, { signal, timeoutMs, ...query } = {}) {
      return requests.request("history", { ...query, channel }, { signal, timeoutMs });
    },
    presence(channel, { signal, timeoutMs, ...query } = {}) {
      return requests.request("presence", { ...query, channel }, { signal, timeoutMs });
    },
    async setPresence(channel, state, patience) {
      await channels.setPresence(channel, state, patience);
    },
    members: (channel) => openMembers(channel, channels, requests, error),
    upload: (channel, file, patience) => upload(clock, requests, channel, file, patience),
    download: (channel, blob, patience) => download(clock, requests, channel, blob, patience),
    stream: (channel) => openStream(channel, channels, requests),
  };
}
