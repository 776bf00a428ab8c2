import { TimeSlices } from "../internal/time-slices.ts";
import type { ChannelStore, Schedule } from "../store/index.ts";
import type { Channels } from "./channels.ts";
import { invalid } from "./check-options.ts";
import type { Core } from "./core.ts";
import { Departures } from "./departures.ts";
import { FanOut } from "./fan-out.ts";
import { Parts } from "./parts.ts";
import { PresenceOrder } from "./presence-order.ts";
import { SecondTries } from "./second-tries.ts";
import { StreamLog } from "./stream-log.ts";
import { Streams } from "./streams.ts";
import { Sweep } from "./sweep.ts";
import { Turns } from "./turns.ts";
import { Viewers } from "./viewers.ts";

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
    parts: new Parts(store.parts, schedule, now),
    presenceOrder,
    departures: new Departures(
      store,
      fanOut,
      { channels, streams, viewers },
      new TimeSlices(),
      presenceOrder,
      now,
    ),
    turns: new Turns(),
    sweep: new Sweep(schedule, channels, now, heartbeatMs),
  };
}
