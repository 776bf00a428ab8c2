import { KeyedQueue } from "../internal/keyed-queue.ts";
import { TimeSlices } from "../internal/time-slices.ts";
import type { ChannelStore, Schedule } from "../store/index.ts";
import { Parts } from "./actions/message-chunks.ts";
import { invalid } from "./check-options.ts";
import type { Core } from "./core.ts";
import { FanOut } from "./fan-out/fan-out.ts";
import { SecondTries } from "./fan-out/fan-out-retry.ts";
import { Streams } from "./live-streams/live-streams.ts";
import { StreamLog } from "./live-streams/stream-log.ts";
import { Departures } from "./membership/leave.ts";
import { PresenceOrder } from "./membership/presence-order.ts";
import { Sweep } from "./membership/stale-connections.ts";
import { Viewers } from "./membership/viewer-count.ts";
import type { Channels } from "./namespaces.ts";

/** What the parts of a core are made of. */
interface Ground {
  readonly channels: Channels;
  readonly store: ChannelStore;
  readonly schedule: Schedule | undefined;
  readonly now: () => number;
  readonly heartbeatMs: number | undefined;
}

/** @throws {LiftError} INVALID_OPTION */
export function coreOf(
  ground: Ground,
  rest: Pick<Core, "blobs" | "maxSubscriptions" | "hasRoute" | "refresh">,
): Core {
  const { channels, store, schedule, now, heartbeatMs } = ground;
  if (channels.canBeLive && schedule === undefined) throw invalid("channels that are live need a schedule");
  if (channels.haveBlobs && rest.blobs === undefined) throw invalid("channels with maxBlobBytes need blobs");
  const fanOut = new FanOut(store, now);
  const streamLog = new StreamLog(store.history, now);
  const streams = new Streams(store, schedule, channels, now);
  const presenceOrder = new PresenceOrder(now);
  const viewers = new Viewers(store.members, streamLog, fanOut, schedule, now);
  return {
    ...rest,
    channels,
    store,
    now,
    fanOut,
    secondTries: new SecondTries(store.history, schedule, now),
    streamLog,
    streams,
    viewers,
    parts: new Parts(store.chunks, schedule, now),
    presenceOrder,
    departures: new Departures(
      store,
      fanOut,
      { channels, streams, viewers },
      new TimeSlices(),
      presenceOrder,
      now,
    ),
    turns: new KeyedQueue(),
    sweep: new Sweep(schedule, channels, now, heartbeatMs),
  };
}
