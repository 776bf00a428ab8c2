import type { ChannelMessage, Json, Position, PresenceMessage } from "../../protocol/index.ts";
import { callListener } from "../emitter.ts";
import { ClientError } from "../errors.ts";
import { Feed } from "../feed.ts";
import { isReached } from "./message-order.ts";

/** Options of `subscribe`. */
export interface SubscribeOptions<Data = Json, StateInput = Json, State = Json> {
  /** How many of the newest messages to deliver first, 0 to 100. Default 0. */
  readonly recent?: number;
  /** The user's presence state from the start: see `setPresence`. Default: none. */
  readonly state?: StateInput;
  /** Called with each message, once and in order. */
  readonly onMessage?: (message: ChannelMessage<Data>) => void;
  /** Called after a lost connection, when every missed message has been delivered. */
  readonly onRecovered?: () => void;
  /** Called when missed messages are no longer in history. Load the state anew; messages continue from `position`. */
  readonly onLost?: (position: Position) => void;
  /** Called when a user joins, leaves, or changes its state. `client.members` keeps the list. */
  readonly onPresence?: (message: PresenceMessage<State>) => void;
  /** Called when the subscription ends: refused by the server, or an iterator was too slow. */
  readonly onError?: (error: ClientError) => void;
  /** Unsubscribes when aborted. */
  readonly signal?: AbortSignal;
  /** How many unread messages an iterator keeps before it throws BUFFER_FULL. Default 1,000; minimum 1. */
  readonly bufferSize?: number;
}

/** A subscription to a channel. An iterator starts with the next message, and leaving its loop unsubscribes. */
export interface Subscription<Data = Json> extends AsyncIterable<ChannelMessage<Data>> {
  /** The channel of the subscription. */
  readonly channel: string;
  /**
   * Resolves when the server has confirmed the subscription and its `recent` messages are delivered.
   * Rejects when the server refuses it, or the subscription ends first.
   */
  readonly ready: Promise<void>;
  /** Ends the subscription. Does nothing when it has ended. */
  unsubscribe(): void;
}

export function historyLost(channel: string, position: Position): ClientError {
  return new ClientError("HISTORY_LOST", `Messages of ${channel} were lost`, { position });
}

export function unsubscribed(): ClientError {
  return new ClientError("ABORTED", "Unsubscribed");
}

export class OpenSubscription implements Subscription {
  readonly channel: string;
  readonly options: SubscribeOptions;
  readonly #ready = Promise.withResolvers<void>();
  readonly #feed: Feed<ChannelMessage>;
  readonly #onEnd: () => void;
  /** Messages that arrive before the subscription's history; `undefined` when it waits for none. */
  #buffered: ChannelMessage[] | undefined;
  #fetchHistory: (() => void) | undefined;
  /** The position of the last message from history. */
  #historyEnd: Position | undefined;
  readonly #lifetime = new AbortController();

  /** @param onEnd called once, when the subscription ends */
  constructor(channel: string, options: SubscribeOptions, onEnd: (subscription: OpenSubscription) => void) {
    this.channel = channel;
    this.options = options;
    this.#onEnd = () => onEnd(this);
    const { bufferSize: size = 1_000 } = options;
    this.#feed = new Feed({
      size,
      onFull: () => this.end(new ClientError("BUFFER_FULL", `Over ${size} unread messages`)),
      onLeave: this.unsubscribe,
    });
    // `onError` reports the same error, so an unhandled rejection would report it twice.
    this.ready.catch(() => {});
  }

  /** Aborted when the subscription ends. */
  get signal(): AbortSignal {
    return this.#lifetime.signal;
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  readonly unsubscribe = (): void => {
    this.end();
  };

  /** @returns whether a listener or an iterator got the error */
  end(error?: ClientError): boolean {
    if (this.signal.aborted) return true;
    this.#lifetime.abort();
    this.#ready.reject(error ?? unsubscribed());
    this.#onEnd();
    this.#feed.end(error);
    if (error) callListener(this.options.onError, error);
    return this.#feed.isRead || !!this.options.onError;
  }

  /** Called when the server confirms the channel, with every connection. */
  confirm(): void {
    const fetchHistory = this.#fetchHistory;
    this.#fetchHistory = undefined;
    if (!this.#buffered) this.#ready.resolve();
    else fetchHistory?.();
  }

  deliver(message: ChannelMessage): void {
    if (this.signal.aborted) return;
    if (this.#buffered) this.#buffered.push(message);
    else if (!isReached(message.position, this.#historyEnd)) {
      // Before the listener: an iterator that it creates starts with the next message.
      this.#feed.push(message);
      callListener(this.options.onMessage, message);
    }
  }

  /** @returns whether a listener or an iterator got the loss */
  lost(position: Position): boolean {
    this.#buffered = this.#historyEnd = undefined;
    if (this.options.onLost) {
      callListener(this.options.onLost, position);
      return true;
    }
    // An iterator can report a loss only by throwing.
    return this.#feed.isRead && this.end(historyLost(this.channel, position));
  }

  /** Buffers messages until `replay`. @param fetch called when the server confirms the channel */
  buffer(fetch: () => void): void {
    this.#buffered = [];
    this.#fetchHistory = fetch;
  }

  /** Delivers the history, then the buffered messages. */
  replay(history: readonly ChannelMessage[]): void {
    const buffered = this.#buffered;
    // Skips the history after a loss: it is from before the loss.
    if (buffered) {
      this.#buffered = undefined;
      for (const message of history) this.deliver(message);
      this.#historyEnd = history.at(-1)?.position;
      for (const message of buffered) this.deliver(message);
    }
    this.#ready.resolve();
  }

  [Symbol.asyncIterator](): AsyncIterator<ChannelMessage, undefined> {
    return this.#feed[Symbol.asyncIterator]();
  }
}
