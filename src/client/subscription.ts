import type { ChannelMessage, Json, Position, PresenceMessage } from "../protocol/index.ts";
import { call, Emitter } from "./emitter.ts";
import { ClientError } from "./errors.ts";
import { isPast } from "./sequence.ts";

/** What a subscription tells, and to whom. */
export interface SubscribeOptions<Data = Json, Shown = Json, State = Json> {
  /** As many of the newest messages first, 0 to 100. Default 0. */
  readonly recent?: number;
  /** What the user shows of themself there from the start: see `setPresence`. */
  readonly state?: Shown;
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
  const message = `What followed the last message of ${channel} is past its history`;
  return new ClientError("HISTORY_LOST", message, { position });
}

interface Ending {
  readonly error?: ClientError;
}

export class OpenSubscription implements Subscription {
  readonly channel: string;
  readonly ready: Promise<void>;
  readonly options: SubscribeOptions;
  readonly #messages = new Emitter<ChannelMessage>();
  readonly #endings = new Emitter<Ending>();
  readonly #release: () => void;
  /** What has come while its past is waited for; `undefined`: it is not. */
  #waiting: ChannelMessage[] | undefined;
  #askForPast: (() => void) | undefined;
  /** The last one of its past. */
  #past: Position | undefined;
  #ending: Ending | undefined;
  #become!: { resolve(): void; reject(error: unknown): void };

  /** @param release called once, when it ends */
  constructor(channel: string, options: SubscribeOptions, release: (subscription: OpenSubscription) => void) {
    this.channel = channel;
    this.options = options;
    this.#release = () => release(this);
    this.ready = new Promise((resolve, reject) => {
      this.#become = { resolve, reject };
    });
    // Who does not wait for it is told otherwise.
    this.ready.catch(() => {});
    options.signal?.addEventListener("abort", this.unsubscribe);
    if (options.onMessage !== undefined) this.#messages.on(options.onMessage);
  }

  get ended(): boolean {
    return this.#ending !== undefined;
  }

  readonly unsubscribe = (): void => {
    this.end();
  };

  /** @returns whether anybody was told of the error */
  end(error?: ClientError): boolean {
    if (this.#ending !== undefined) return true;
    this.#ending = error === undefined ? {} : { error };
    this.options.signal?.removeEventListener("abort", this.unsubscribe);
    this.#become.reject(error ?? new ClientError("ABORTED", "The subscription has ended"));
    this.#release();
    const told = this.#endings.size > 0 || this.options.onError !== undefined;
    this.#endings.emit(this.#ending);
    if (error !== undefined) call(this.options.onError, error);
    return told;
  }

  /** Maybe again: with every connection. */
  taken(): void {
    const ask = this.#askForPast;
    this.#askForPast = undefined;
    if (this.#waiting === undefined) this.#become.resolve();
    else ask?.();
  }

  message(message: ChannelMessage): void {
    if (this.#ending !== undefined) return;
    if (this.#waiting !== undefined) this.#waiting.push(message);
    else if (!isPast(message.position, this.#past)) this.#messages.emit(message);
  }

  recovered(): void {
    if (this.#ending === undefined) call<void>(this.options.onRecovered, undefined);
  }

  /** @returns whether anybody was told */
  lost(position: Position): boolean {
    if (this.#ending !== undefined) return true;
    this.#waiting = this.#past = undefined;
    if (this.options.onLost !== undefined) {
      call(this.options.onLost, position);
      return true;
    }
    // An iterator has no other way to tell that what it gives is not all.
    return this.#endings.size > 0 && this.end(historyLost(this.channel, position));
  }

  presence(message: PresenceMessage): void {
    if (this.#ending === undefined) call(this.options.onPresence, message);
  }

  /** Keeps what comes until `begin`. @param ask called when the server has taken it */
  wait(ask: () => void): void {
    this.#waiting = [];
    this.#askForPast = ask;
  }

  /** Hands on its past, then what has come meanwhile. */
  begin(past: readonly ChannelMessage[]): void {
    const waiting = this.#waiting;
    // Else it was told of a loss meanwhile: its past is from before that.
    if (waiting !== undefined) {
      this.#waiting = undefined;
      for (const message of past) this.message(message);
      this.#past = past.at(-1)?.position;
      for (const message of waiting) this.message(message);
    }
    this.#become.resolve();
  }

  [Symbol.asyncIterator](): AsyncIterator<ChannelMessage, undefined> {
    return new MessageIterator(this, this.#messages, this.#endings, this.#ending);
  }
}

interface Reader {
  resolve(result: IteratorResult<ChannelMessage, undefined>): void;
  reject(error: ClientError): void;
}

/** What is not read yet, up to a bound. */
class MessageIterator implements AsyncIterator<ChannelMessage, undefined> {
  readonly #subscription: OpenSubscription;
  readonly #buffer: ChannelMessage[] = [];
  readonly #readers: Reader[] = [];
  #ending: Ending | undefined;

  constructor(
    subscription: OpenSubscription,
    messages: Emitter<ChannelMessage>,
    endings: Emitter<Ending>,
    ending: Ending | undefined,
  ) {
    this.#subscription = subscription;
    this.#ending = ending;
    messages.on((message) => this.#take(message));
    endings.on((end) => this.#end(end));
  }

  next(): Promise<IteratorResult<ChannelMessage, undefined>> {
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
      this.#serve();
    });
  }

  async return(): Promise<IteratorResult<ChannelMessage, undefined>> {
    this.#buffer.length = 0;
    this.#ending ??= {};
    this.#subscription.unsubscribe();
    this.#serve();
    return { done: true, value: undefined };
  }

  #take(message: ChannelMessage): void {
    if (this.#ending !== undefined) return;
    const { bufferSize = 1_000 } = this.#subscription.options;
    if (this.#buffer.length < bufferSize) {
      this.#buffer.push(message);
      this.#serve();
    } else {
      const text = `More than ${bufferSize} messages were not read yet`;
      this.#subscription.end(new ClientError("BUFFER_FULL", text));
    }
  }

  #end(ending: Ending): void {
    this.#ending ??= ending;
    this.#serve();
  }

  /** Messages first, then how it ended: an error once. */
  #serve(): void {
    while (this.#readers.length > 0) {
      const message = this.#buffer.shift();
      if (message === undefined && this.#ending === undefined) return;
      const { resolve, reject } = this.#readers.shift()!;
      if (message !== undefined) resolve({ done: false, value: message });
      else if (this.#ending?.error !== undefined) reject(this.#ending.error);
      else resolve({ done: true, value: undefined });
      if (message === undefined) this.#ending = {};
    }
  }
}
