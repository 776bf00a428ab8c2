import type {
  ChannelIn,
  HistoryResult,
  Json,
  JsonNamespaces,
  Namespaces,
  Position,
  PresenceResult,
  PublishResult,
  ServerTypes,
  TypesOf,
} from "../protocol/index.ts";
import { Channels, checkChannel } from "./channels.ts";
import { Emitter } from "./emitter.ts";
import type { ClientError } from "./errors.ts";
import { Link } from "./link.ts";
import { LiveMembers, type Members } from "./members.ts";
import { type ClientOptions, settingsOf } from "./options.ts";
import { Outbox, type PublishOptions } from "./outbox.ts";
import { Requests } from "./requests.ts";
import type { ClientState } from "./state.ts";
import { OpenStream, type Stream } from "./stream.ts";
import type { SubscribeOptions, Subscription } from "./subscription.ts";
import { within } from "./waiting.ts";

/** How long a request waits. */
export interface RequestPatience {
  /** Gives up: ABORTED. */
  readonly signal?: AbortSignal;
  /** Gives up after so many ms: TIMEOUT. Default: the client's `requestTimeoutMs`. */
  readonly timeoutMs?: number;
}

export interface HistoryOptions extends RequestPatience {
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
  /** Works before `connect` as well. @throws {ClientError} INVALID_CHANNEL, INVALID_OPTION */
  subscribe<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: SubscribeOptions<
      TypesOf<Types, Channel>["data"],
      TypesOf<Types, Channel>["shown"],
      TypesOf<Types, Channel>["state"]
    >,
  ): Subscription<TypesOf<Types, Channel>["data"]>;
  /**
   * Resolves when the message is stored, once, however often it had to be sent. Offline it waits.
   * Rejects with a ClientError: the server's, OUTBOX_FULL, OUTCOME_UNKNOWN, TOO_LARGE, NOT_JSON, TIMEOUT, ABORTED.
   */
  publish<Channel extends ChannelIn<Types>>(
    channel: Channel,
    data: TypesOf<Types, Channel>["published"],
    options?: PublishOptions,
  ): Promise<PublishResult>;
  history<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: HistoryOptions,
  ): Promise<HistoryResult<TypesOf<Types, Channel>["data"]>>;
  /** Who is in a channel now. */
  presence<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: RequestPatience,
  ): Promise<PresenceResult<TypesOf<Types, Channel>["state"]>>;
  /** What the user shows of themself in a channel that they are in; it is shown again after a reconnect. */
  setPresence<Channel extends ChannelIn<Types>>(
    channel: Channel,
    state: TypesOf<Types, Channel>["shown"] | undefined,
    options?: RequestPatience,
  ): Promise<void>;
  /** Who is in a channel, from now on. @throws {ClientError} INVALID_CHANNEL */
  members<Channel extends ChannelIn<Types>>(channel: Channel): Members<TypesOf<Types, Channel>["state"]>;
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
  return new StreamerClient(options) as Client<NonNullable<Server["~channels"]>>;
}

class StreamerClient implements Client {
  readonly #settings;
  readonly #link: Link;
  readonly #requests: Requests;
  readonly #channels: Channels;
  readonly #outbox: Outbox;
  readonly #errors = new Emitter<ClientError>();

  constructor(options: ClientOptions) {
    const error = (value: ClientError) => this.#errors.emit(value);
    this.#settings = settingsOf(options);
    this.#link = new Link(this.#settings, {
      message: (message) => this.#channels.message(message),
      attach: (session) => this.#channels.attach(session),
      detach: (session) => this.#channels.detach(session),
      positions: () => this.#channels.positions(),
      heads: (heads) => this.#channels.heads(heads),
      beat: () => this.#channels.beat(),
      error,
    });
    this.#requests = new Requests(this.#settings, this.#link);
    const session = () => this.#link.session;
    this.#channels = new Channels(this.#settings, this.#requests, { session, error });
    this.#outbox = new Outbox(this.#settings, this.#requests, error);
  }

  get state(): ClientState {
    return this.#link.state;
  }

  onState(listener: (state: ClientState) => void): () => void {
    return this.#link.states.on(listener);
  }

  onError(listener: (error: ClientError) => void): () => void {
    return this.#errors.on(listener);
  }

  connect(): void {
    this.#link.connect();
  }

  disconnect(): void {
    this.#link.disconnect();
  }

  subscribe(channel: string, options: SubscribeOptions = {}): Subscription {
    return this.#channels.subscribe(channel, options);
  }

  async publish(channel: string, data: Json, options: PublishOptions = {}): Promise<PublishResult> {
    checkChannel(channel);
    return this.#outbox.publish(channel, data, options);
  }

  history(channel: string, options: HistoryOptions = {}): Promise<HistoryResult> {
    const { signal, timeoutMs, ...query } = options;
    return this.#requests.ask("history", { ...query, channel }, { signal, timeoutMs });
  }

  presence(channel: string, options: RequestPatience = {}): Promise<PresenceResult> {
    return this.#requests.ask("presence", { channel }, options);
  }

  async setPresence(
    name: string,
    state: Json | undefined,
    { signal: given, timeoutMs = this.#settings.requestTimeoutMs }: RequestPatience = {},
  ): Promise<void> {
    const channel = this.#channels.get(name);
    if (channel !== undefined) channel.state = state;
    const [first] = channel?.subscriptions ?? [];
    await within(this.#settings.clock, { signal: given, timeoutMs }, async (signal) => {
      // One request of a connection may overtake another: not before it is there.
      await first?.ready;
      const payload = state === undefined ? { channel: name } : { channel: name, state };
      await this.#requests.send("set_presence", payload, { signal, orIdle: false });
    });
  }

  members(channel: string): Members {
    return new LiveMembers({
      requests: this.#requests,
      error: (error) => this.#errors.emit(error),
      subscribe: (onPresence) => {
        const subscription = this.#channels.subscribe(channel, { onPresence });
        return { subscription, channel: this.#channels.get(channel)! };
      },
    });
  }

  stream(channel: string): Stream {
    const subscription = this.#channels.subscribe(channel, {});
    return new OpenStream(this.#requests, subscription, this.#channels.get(channel)!);
  }
}
