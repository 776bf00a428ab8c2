import type { Json, LiveStream, StreamEndedMessage } from "../protocol/index.ts";
import type { Channel } from "./channel.ts";
import { Emitter } from "./emitter.ts";
import type { Requests } from "./requests.ts";
import type { Subscription } from "./subscription.ts";
import type { Patience } from "./waiting.ts";

/** Who streams in a channel, kept up to date. It is listened to as long as this is open. */
export interface Stream {
  readonly channel: string;
  /** Whose, since when (ms since the epoch), how many watch, and what the owner shows. `undefined`: nobody streams. */
  readonly live: LiveStream | undefined;
  /** Why the last one has ended that was seen to. */
  readonly ended: StreamEndedMessage["reason"] | undefined;
  /** Of the server's first answer. Rejects when the channel is refused, or this is closed before. */
  readonly ready: Promise<void>;
  /** Called after every change. @returns what ends it */
  onChange(listener: (stream: Stream) => void): () => void;
  /**
   * The user streams from now on, and shows up to 1,024 bytes; again: shows something else. It stays so through
   * reconnects, until `end`, or until every tab of the user's has left for longer than the server waits.
   */
  start(data?: Json, options?: Patience): Promise<void>;
  end(options?: Patience): Promise<void>;
  /** Does not end the stream by itself. */
  close(): void;
}

export class OpenStream implements Stream {
  readonly channel: string;
  readonly ready: Promise<void>;
  readonly #requests: Requests;
  readonly #subscription: Subscription;
  readonly #live: Channel["live"];
  readonly #changes = new Emitter<Stream>();
  readonly #stopListening: () => void;

  constructor(requests: Requests, subscription: Subscription, { name, live }: Channel) {
    this.#requests = requests;
    this.#subscription = subscription;
    this.#live = live;
    this.channel = name;
    this.ready = subscription.ready;
    this.#stopListening = live.changes.on(() => this.#changes.emit(this));
  }

  get live(): LiveStream | undefined {
    return this.#live.stream;
  }

  get ended(): StreamEndedMessage["reason"] | undefined {
    return this.#live.reason;
  }

  onChange(listener: (stream: Stream) => void): () => void {
    return this.#changes.on(listener);
  }

  async start(data?: Json, options: Patience = {}): Promise<void> {
    const { channel } = this;
    await this.#requests.ask("stream_start", data === undefined ? { channel } : { channel, data }, options);
  }

  async end(options: Patience = {}): Promise<void> {
    await this.#requests.ask("stream_end", { channel: this.channel }, options);
  }

  close(): void {
    this.#stopListening();
    this.#subscription.unsubscribe();
  }
}
