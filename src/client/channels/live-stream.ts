import type { Json, LiveStream, StreamEndedMessage } from "../../protocol/index.ts";
import { Emitter } from "../emitter.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import type { RequestOptions } from "../requests/timeouts.ts";
import type { Channels } from "./channels.ts";

/** The live stream of a channel, kept up to date until `close`. */
export interface Stream {
  /** The channel of the stream. */
  readonly channel: string;
  /** The owner, the start in ms since the epoch, the number of viewers and the owner's data. `undefined`: no live stream. */
  readonly live: LiveStream | undefined;
  /** Why the last live stream ended, if this client saw it. */
  readonly endReason: StreamEndedMessage["reason"] | undefined;
  /** Resolves with the server's first response. Rejects when the server refuses the channel, or after `close`. */
  readonly ready: Promise<void>;
  /** Calls the listener after every change. @returns a function that removes it */
  onChange(listener: (stream: Stream) => void): () => void;
  /**
   * Starts the user's live stream with up to 1,024 bytes of data; while it runs, replaces the data. The stream survives
   * reconnects. It ends with `end`, or when all tabs of the user are disconnected for longer than the server waits.
   */
  start(data?: Json, options?: RequestOptions): Promise<void>;
  /** Ends the user's live stream. */
  end(options?: RequestOptions): Promise<void>;
  /** Stops watching. Does not end the user's own live stream. */
  close(): void;
}

/** Watches a channel's live stream. @throws {ClientError} INVALID_CHANNEL */
export function openStream(channel: string, channels: Channels, requests: RequestQueue): Stream {
  const subscription = channels.subscribe(channel);
  const { live } = channels.desired.get(channel)!;
  const changes = new Emitter<Stream>();
  const stopListening = live.changes.on(() => changes.emit(stream));
  const stream: Stream = {
    channel,
    ready: subscription.ready,
    get live() {
      return live.stream;
    },
    get endReason() {
      return live.endReason;
    },
    onChange: (listener) => changes.on(listener),
    async start(data, options) {
      await requests.request("stream_start", { channel, data }, options);
    },
    async end(options) {
      await requests.request("stream_end", { channel }, options);
    },
    close() {
      stopListening();
      subscription.unsubscribe();
    },
  };
  return stream;
}
