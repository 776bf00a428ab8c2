import { useMemo } from "react";
import {
  type ChannelMessage,
  type Client,
  ClientError,
  type HistoryResult,
  type Json,
  type Position,
  type PublishOptions,
  type PublishResult,
} from "../client/index.ts";
import { useClient } from "./context.ts";
import { Store, useStore } from "./store.ts";

/** Options of `useChannel`. A change of an option reloads the channel. */
export interface ChannelOptions {
  /** How many of the newest messages to load first, 0 to 100. Default 0. */
  readonly recent?: number;
  /** How many of the newest messages to keep, besides those that `loadMore` added. Default 1,000; minimum 1. */
  readonly maxMessages?: number;
}

/** The result of `useChannel`. */
export interface ChannelState<Data = Json, DataInput = Json> {
  /** The messages, each once, the newest last. */
  readonly messages: readonly ChannelMessage<Data>[];
  /**
   * - `loading`: no response from the server yet, and no messages.
   * - `live`: no message is missing, or the client fetches it once connected: see `useConnectionState`.
   * - `lost`: some messages are missing, and no longer in the channel's history. New messages still arrive.
   * - `refused`: by the server, or for an invalid channel or option. No more messages arrive.
   */
  readonly status: "loading" | "live" | "lost" | "refused";
  /** The reason for `lost` or `refused`. */
  readonly error: ClientError | undefined;
  /** Whether there may be messages before the first one. */
  readonly hasMore: boolean;
  /** Publishes to the channel, as `client.publish`. */
  publish(data: DataInput, options?: PublishOptions): Promise<PublishResult>;
  /**
   * Loads up to 100 earlier messages. Calls during a load return the same promise.
   * @throws {ClientError} as `client.history`
   */
  loadMore(): Promise<void>;
  /** Clears the messages and subscribes again, after `lost` or `refused`. */
  reload(): void;
}

/**
 * Subscribes to a channel while the component is mounted. Returns a new object with every change; its functions stay the same
 * until the channel or an option changes.
 * @example
 * const { messages, status, publish, loadMore, hasMore } = useChannel("room:lobby", { recent: 50 });
 */
export function useChannel(
  channel: string,
  { recent = 0, maxMessages = 1_000 }: ChannelOptions = {},
): ChannelState {
  const client = useClient();
  const store = useMemo(
    () => new ChannelStore(client, channel, recent, maxMessages),
    [client, channel, recent, maxMessages],
  );
  return useStore(store);
}

class ChannelStore extends Store<ChannelState> {
  readonly #client: Client;
  readonly #channel: string;
  readonly #recent: number;
  readonly #maxMessages: number;
  /** Messages that arrive while loading. */
  #early: ChannelMessage[] = [];
  /** The number of messages to keep now. */
  #capacity = 0;
  #loadingMore: Promise<void> | undefined;

  constructor(client: Client, channel: string, recent: number, maxMessages: number) {
    super({
      messages: [],
      status: "loading",
      error: undefined,
      hasMore: false,
      publish: (data, options) => client.publish(channel, data, options),
      loadMore: () => this.#loadMore(),
      reload: () => this.restart(),
    });
    this.#client = client;
    this.#channel = channel;
    this.#recent = recent;
    this.#maxMessages = maxMessages;
  }

  protected override start(life: AbortSignal): void {
    this.#early = [];
    this.#capacity = this.#maxMessages;
    const refused = (error: ClientError) => this.update({ status: "refused", error, hasMore: false });
    try {
      checkMaxMessages(this.#maxMessages);
      const subscription = this.#client.subscribe(this.#channel, {
        recent: this.#recent,
        signal: life,
        onMessage: (message) => this.#take(message),
        onLost: (position) => this.#lost(position),
        onError: refused,
      });
      subscription.ready.then(
        () => {
          if (!life.aborted) this.#live();
        },
        // `onError` got the same error, or the component is unmounted.
        () => {},
      );
    } catch (error) {
      refused(error as ClientError);
    }
  }

  #live(): void {
    // A loss may have been reported meanwhile.
    if (this.getSnapshot().status !== "loading") return;
    const messages = this.#early;
    this.#setMessages(messages, { status: "live", hasMore: messages.length >= this.#recent });
  }

  #take(message: ChannelMessage): void {
    const { status, messages } = this.getSnapshot();
    if (status === "loading") this.#early.push(message);
    // A page of history may contain it already.
    else if (!(offsetDifference(messages.at(-1), message) >= 0)) this.#setMessages([...messages, message]);
  }

  #lost(position: Position): void {
    const message = `Messages of ${this.#channel} are missing and no longer in its history`;
    const error = new ClientError("HISTORY_LOST", message, { position });
    this.#live();
    this.update({ status: "lost", error });
  }

  /** Sets the newest messages, up to the capacity. */
  #setMessages(messages: readonly ChannelMessage[], change: Partial<ChannelState> = {}): void {
    const { hasMore } = { ...this.getSnapshot(), ...change };
    const tooMany = messages.length > this.#capacity;
    this.update({
      ...change,
      messages: tooMany ? messages.slice(-this.#capacity) : messages,
      hasMore: hasMore || tooMany,
    });
  }

  #loadMore(): Promise<void> {
    const { life } = this;
    if (life === undefined || !this.getSnapshot().hasMore) return Promise.resolve();
    this.#loadingMore ??= this.#loadPage(life).finally(() => {
      this.#loadingMore = undefined;
    });
    return this.#loadingMore;
  }

  async #loadPage(life: AbortSignal): Promise<void> {
    const before = this.getSnapshot().messages[0]?.position?.offset;
    const capacity = this.#capacity;
    // If the first message were dropped meanwhile, the page would not connect to the next one.
    this.#capacity = Number.POSITIVE_INFINITY;
    try {
      const query = before === undefined ? {} : { before };
      const page = await this.#client.history(this.#channel, { ...query, signal: life });
      if (!life.aborted) this.#prepend(page);
    } catch (error) {
      if (life.aborted) return;
      this.#capacity = capacity;
      throw error;
    }
  }

  #prepend(page: HistoryResult): void {
    const { messages } = this.getSnapshot();
    const [first] = messages;
    // Messages of another epoch belong to another history, so they cannot precede these.
    const older = page.messages.filter(
      (message) => first === undefined || offsetDifference(first, message) > 0,
    );
    this.#capacity = Math.max(this.#maxMessages, older.length + messages.length);
    this.#setMessages([...older, ...messages], { hasMore: page.more && older.length > 0 });
  }
}

/** The distance between two messages; NaN when it is unknown. */
function offsetDifference(one: ChannelMessage | undefined, other: ChannelMessage): number {
  const [a, b] = [one?.position, other.position];
  return a !== undefined && b !== undefined && a.epoch === b.epoch ? a.offset - b.offset : Number.NaN;
}

function checkMaxMessages(maxMessages: number): void {
  if (Number.isInteger(maxMessages) && maxMessages >= 1) return;
  throw new ClientError("INVALID_OPTION", "`maxMessages` must be an integer of at least 1");
}
