import type { Json, LiveStream, StreamEndedMessage } from "../../protocol/index.ts";
import { Emitter } from "../emitter.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import type { RequestOptions } from "../requests/timeouts.ts";
import type { Channels } from "./channels.ts";

/** Who streams in a channel, kept up to date. It is listened to as long as this is open. */
export interface Stream {
  readonly channel: string;
  /** Whose, since when (ms since the epoch), how many watch, and what the owner shows. `undefined`: nobody streams. */
  readonly live: LiveStream | undefined;
  /** Why the last one has ended that was seen to. */
  readonly endReason: StreamEndedMessage["reason"] | undefined;
  /** Of the server's first answer. Rejects when the channel is refused, or this is closed before. */
  readonly ready: Promise<void>;
  /** Called after every change. @returns what ends it */
  onChange(listener: (stream: Stream) => void): () => void;
  /**
   * The user streams from now on, and shows up to 1,024 bytes; again: shows something else. It stays so through
   * reconnects, until `end`, or until every tab of the user's has left for longer than the server waits.
   */
  start(data?: Json, options?: RequestOptions): Promise<void>;
  end(options?: RequestOptions): Promise<void>;
  /** Does not end the stream by itself. */
  close(): void;
}

/** @throws {ClientError} INVALID_CHANNEL */
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
    async start(data, patience) {
      await requests.request("stream_start", { channel, data }, patience);
    },
    async end(patience) {
      await requests.request("stream_end", { channel }, patience);
    },
    close() {
      stopListening();
      subscription.unsubscribe();
    },
  };
  return stream;
}
