import type { AnyContext, BroadcastReport, Logger } from "../lift/index.ts";
import type { BlobStore, ChannelStore, TimeBudget } from "../store/index.ts";
import type { Channels, Identity } from "./channels.ts";
import type { Departures } from "./departures.ts";
import type { FanOut } from "./fan-out.ts";
import type { Parts } from "./parts.ts";
import type { PresenceOrder } from "./presence-order.ts";
import type { SecondTries } from "./second-tries.ts";
import type { StreamLog } from "./stream-log.ts";
import type { Streams } from "./streams.ts";
import type { Sweep } from "./sweep.ts";
import type { Turns } from "./turns.ts";
import type { Viewers } from "./viewers.ts";

/** What all that a Streamer does shares. */
export interface Core {
  readonly channels: Channels;
  readonly store: ChannelStore;
  readonly blobs: BlobStore | undefined;
  readonly fanOut: FanOut;
  readonly secondTries: SecondTries;
  readonly departures: Departures;
  readonly presenceOrder: PresenceOrder;
  readonly turns: Turns;
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
