import type {
  ChannelIn,
  Json,
  JsonNamespaces,
  LiveStream,
  Namespaces,
  StreamEndedMessage,
  StreamMessage,
} from "../../protocol/index.ts";
import type { ClientCore } from "../core.ts";
import { Emitter } from "../emitter.ts";
import type { ClientFeature } from "../feature.ts";
import { BY_USER, PUSHED } from "../requests/message-handlers.ts";
import type { RequestOptions } from "../requests/timeouts.ts";
import type { Channel } from "./channel.ts";
import { LiveStreamState } from "./live-stream-state.ts";

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

/** The methods of the feature `streams`. */
export interface StreamMethods<Types extends Namespaces = JsonNamespaces> {
  /** Watches a channel's live stream, and starts or ends the user's own. @throws {ClientError} INVALID_CHANNEL */
  stream(channel: ChannelIn<Types>): Stream;
}

/**
 * Live streams: `stream`.
 * @example
 * const client = createClient({ url, use: [streams()] });
 */
export function streams(): ClientFeature {
  return { install: installStreams };
}

function installStreams({ channels, requests }: ClientCore): StreamMethods {
  const states = new WeakMap<Channel, LiveStreamState>();
  const take = (channel: Channel, message: StreamMessage) => {
    if (channel.isNew(message)) states.get(channel)!.apply(message);
  };
  channels.on("stream_started", { ...PUSHED, live: {} }, take);
  channels.on("stream_ended", BY_USER, take);
  channels.on("viewers", { ...PUSHED, count: "number" }, take);
  channels.created.on((channel) => {
    const live = new LiveStreamState();
    states.set(channel, live);
    let apply = live.startFetch();
    channel.subscribing.on(() => {
      apply = live.startFetch();
    });
    channel.stale.on((subscribed) => {
      if (subscribed) return apply(subscribed);
      // The server does not resend a lost start or end. A failed request is retried with the next heartbeat.
      if (live.changes.size > 0) {
        requests.request("stream", { channel: channel.name }).then(live.startFetch(), () => {});
      }
    });
  });
  return {
    stream(channel) {
      const subscription = channels.subscribe(channel);
      const live = states.get(channels.desired.get(channel)!)!;
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
    },
  };
}
