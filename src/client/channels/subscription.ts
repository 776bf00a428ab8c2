import type { ChannelMessage, Json, Position, PresenceMessage } from "../../protocol/index.ts";
import { callListener } from "../emitter.ts";
import { ClientError } from "../errors.ts";
import { isReached } from "./message-order.ts";

/** What a subscription tells, and to whom. */
export interface SubscribeOptions<Data = Json, StateInput = Json, State = Json> {
  /** As many of the newest messages first, 0 to 100. Default 0. */
  readonly recent?: number;
  /** What the user shows of themself there from the start: see `setPresence`. */
  readonly state?: StateInput;
  /** In order, each once. */
  readonly onMessage?: (message: ChannelMessage<Data>) => void;
  /** After a time without a connection: nothing is missing, all of it has been handed on. */
  readonly onRecovered?: () => void;
  /** What came after the last message can't be had any more: load the state anew; it goes on from `position`. */
  readonly onLost?: (position: Position) => void;
  /** Somebody comes, goes, or shows something else. `client.members` keeps the list. */
  readonly onPresence?: (message: PresenceMessage<State>) => void;
  /** The server has refused it, or an iterator could not keep up: it has ended. */
  readonly onError?: (error: ClientError) => void;
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** How many messages an iterator keeps for who is slow; past it, it throws BUFFER_FULL. Default 1,000; minimum 1. */
  readonly bufferSize?: number;
}

/** A channel that is listened to. Iterating begins with what comes from then on, and its end ends the subscription. */
export interface Subscription<Data = Json> extends AsyncIterable<ChannelMessage<Data>> {
  readonly channel: string;
  /**
   * The server has taken it, and its `recent` messages have been handed on.
   * Rejects when it has refused it, or the subscription ended before.
   */
  readonly ready: Promise<void>;
  /** Twice is no error. */
  unsubscribe(): void;
}

export function historyLost(channel: string, position: Position): ClientError {
  const message = `Messages of ${channel} were lost`;
  return new ClientError("HISTORY_LOST", message, { position });
}

export function unsubscribed(): ClientError {
  return new ClientError("ABORTED", "Unsubscribed");
}

interface Ending {
  readonly error?: ClientError;
}

export class OpenSubscription implements Subscription {
  readonly channel: string;
  readonly options: SubscribeOptions;
  readonly #ready = Promise.withResolvers<void>();
  readonly #iterators = new Set<MessageIterator>();
  readonly #release: () => void;
  /** What has come while its past is waited for; `undefined`: it is not. */
  #waiting: ChannelMessage[] | undefined;
  #askForPast: (() => void) | undefined;
  /** The last one of its past. */
  #past: Position | undefined;
  #ending: Ending | undefined;

  /** @param release called once, when it ends */
  constructor(channel: string, options: SubscribeOptions, release: (subscription: OpenSubscription) => void) {
    this.channel = channel;
    this.options = options;
    this.#release = () => release(this);
    // Who does not wait for it is told otherwise.
    this.ready.catch(() => {});
    options.signal?.addEventListener("abort", this.unsubscribe);
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get ended(): boolean {
    return !!this.#ending;
  }

  readonly unsubscribe = (): void => {
    this.end();
  };

  /** @returns whether anybody was told of the error */
  end(error?: ClientError): boolean {
    if (this.#ending) return true;
    this.#ending = error ? { error } : {};
    this.options.signal?.removeEventListener("abort", this.unsubscribe);
    this.#ready.reject(error ?? unsubscribed());
    this.#release();
    for (const iterator of this.#iterators) iterator.end(this.#ending);
    if (error) callListener(this.options.onError, error);
    return this.#iterators.size > 0 || !!this.options.onError;
  }

  /** Maybe again: with every connection. */
  confirm(): void {
    const ask = this.#askForPast;
    this.#askForPast = undefined;
    if (!this.#waiting) this.#ready.resolve();
    else ask?.();
  }

  deliver(message: ChannelMessage): void {
    if (this.#ending) return;
    if (this.#waiting) this.#waiting.push(message);
    else if (!isReached(message.position, this.#past)) {
      // One that is asked for meanwhile begins with the next.
      const iterators = [...this.#iterators];
      callListener(this.options.onMessage, message);
      for (const iterator of iterators) iterator.take(message);
    }
  }

  recovered(): void {
    callListener<void>(this.options.onRecovered, undefined);
  }

  /** @returns whether anybody was told */
  lost(position: Position): boolean {
    this.#waiting = this.#past = undefined;
    if (this.options.onLost) {
      callListener(this.options.onLost, position);
      return true;
    }
    // An iterator has no other way to tell that what it gives is not all.
    return this.#iterators.size > 0 && this.end(historyLost(this.channel, position));
  }

  presence(message: PresenceMessage): void {
    callListener(this.options.onPresence, message);
  }

  /** Keeps what comes until `begin`. @param ask called when the server has taken it */
  waitForHistory(ask: () => void): void {
    this.#waiting = [];
    this.#askForPast = ask;
  }

  /** Hands on its past, then what has come meanwhile. */
  startAfter(past: readonly ChannelMessage[]): void {
    const waiting = this.#waiting;
    // Else it was told of a loss meanwhile: its past is from before that.
    if (waiting) {
      this.#waiting = undefined;
      for (const message of past) this.deliver(message);
      this.#past = past.at(-1)?.position;
      for (const message of waiting) this.deliver(message);
    }
    this.#ready.resolve();
  }

  [Symbol.asyncIterator](): AsyncIterator<ChannelMessage, undefined> {
    const iterator = iterate(this, this.#ending);
    this.#iterators.add(iterator);
    return iterator;
  }
}

interface MessageIterator extends AsyncIterator<ChannelMessage, undefined> {
  take(message: ChannelMessage): void;
  end(ending: Ending): void;
}

/** Keeps what is not read yet, up to a bound. @param ending of a subscription that has ended */
function iterate(subscription: OpenSubscription, ending: Ending | undefined): MessageIterator {
  const { bufferSize = 1_000 } = subscription.options;
  const unread: ChannelMessage[] = [];
  const readers: PromiseWithResolvers<IteratorResult<ChannelMessage, undefined>>[] = [];
  let last = ending;

  /** Messages first, then how it ended: an error once. */
  const serve = () => {
    while (readers[0] && (unread[0] || last)) {
      const { resolve, reject } = readers.shift()!;
      const value = unread.shift();
      if (value) resolve({ done: false, value });
      else if (last?.error) reject(last.error);
      else resolve({ done: true, value });
      if (!value) last = {};
    }
  };
  return {
    next() {
      const reader = Promise.withResolvers<IteratorResult<ChannelMessage, undefined>>();
      readers.push(reader);
      serve();
      return reader.promise;
    },
    async return() {
      unread.length = 0;
      subscription.unsubscribe();
      return { done: true, value: undefined };
    },
    take(message) {
      if (last) return;
      if (unread.length < bufferSize) unread.push(message);
      else subscription.end(new ClientError("BUFFER_FULL", `Over ${bufferSize} unread messages`));
      serve();
    },
    end(how) {
      last ??= how;
      serve();
    },
  };
}
