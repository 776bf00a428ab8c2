import type { KeyedQueue } from "../internal/keyed-queue.ts";
import type { AnyContext, BroadcastReport, Logger } from "../lift/index.ts";
import type { BlobStore, ChannelStore, TimeBudget } from "../store/index.ts";
import type { Parts } from "./actions/message-chunks.ts";
import type { FanOut } from "./fan-out/fan-out.ts";
import type { SecondTries } from "./fan-out/fan-out-retry.ts";
import type { Streams } from "./live-streams/live-streams.ts";
import type { StreamLog } from "./live-streams/stream-log.ts";
import type { Departures } from "./membership/leave.ts";
import type { PresenceOrder } from "./membership/presence-order.ts";
import type { Sweep } from "./membership/stale-connections.ts";
import type { Viewers } from "./membership/viewer-count.ts";
import type { Channels, Identity } from "./namespaces.ts";

/** What all that a Streamer does shares. */
export interface Core {
  readonly channels: Channels;
  readonly store: ChannelStore;
  readonly blobs: BlobStore | undefined;
  readonly fanOut: FanOut;
  readonly secondTries: SecondTries;
  readonly departures: Departures;
  readonly presenceOrder: PresenceOrder;
  readonly turns: KeyedQueue;
  readonly sweep: Sweep;
  readonly streamLog: StreamLog;
  readonly streams: Streams;
  readonly viewers: Viewers;
  readonly parts: Parts;
  readonly maxSubscriptions: number;
  /** Whether the application has a route of its own for an action. */
  readonly hasRoute: (action: string) => boolean;
  /** ms since the epoch. */
  readonly now: () => number;
  /** By a new token, where there is authentication. */
  readonly refresh: ((ctx: AnyContext, token: string) => Promise<void>) | undefined;
}

/** In what something is done: an event, or a call of the server's own. */
export interface Scope {
  readonly budget: TimeBudget | undefined;
  readonly logger: Logger;
  /** To those behind one endpoint; its results are of those that were not sent to. */
  broadcast(endpoint: string, connectionIds: readonly string[], frame: string): Promise<BroadcastReport>;
}

/** One client's message. */
export interface Session extends Scope {
  readonly ctx: AnyContext;
  readonly identity: Identity;
  readonly requestId: string;
}
