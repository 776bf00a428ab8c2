import { LiftError, type Tick } from "../../lift/index.ts";
import type { Json, LiveStream } from "../../protocol/index.ts";
import type { ScheduledItem, TimeBudget } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { toSubChannelKey } from "../channel-keys.ts";
import type { Channel } from "../channels.ts";
import type { StoredFanOut } from "../fan-out/stored-fan-out.ts";
import type { ViewerCounts } from "../membership/viewer-count.ts";
import type { StreamLog } from "./stream-log.ts";
import type { StreamOwners } from "./stream-owners.ts";

interface LiveStreamsOptions {
  readonly streamLog: StreamLog;
  readonly owners: StreamOwners;
  readonly viewers: ViewerCounts;
  readonly storedFanOut: StoredFanOut;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** A stream that was started or updated, with the fan-out to the members, which never rejects. */
interface StartedStream {
  readonly live: LiveStream;
  readonly fanOut: Promise<unknown>;
}

/** Starts, ends and reports the live streams of channels: at most one for each channel. */
export class LiveStreams {
  readonly #streamLog: StreamLog;
  readonly #owners: StreamOwners;
  readonly #viewers: ViewerCounts;
  readonly #storedFanOut: StoredFanOut;
  readonly #now: () => number;

  constructor({ streamLog, owners, viewers, storedFanOut, now }: LiveStreamsOptions) {
    this.#streamLog = streamLog;
    this.#owners = owners;
    this.#viewers = viewers;
    this.#storedFanOut = storedFanOut;
    this.#now = now;
  }

  /** Returns a channel's live stream with its current number of viewers. @throws {LiftError} STORE_FAILED */
  async get({ key, namespace }: Channel, budget: TimeBudget | undefined): Promise<LiveStream | undefined> {
    const live = namespace.live && (await this.#streamLog.live(key, budget));
    if (live === undefined) return undefined;
    const [viewers] = await Promise.all([
      this.#viewers.count(key),
      this.#owners.ensureOwnerCheck(key, live, budget),
    ]);
    return { ...live, viewers };
  }

  /**
   * Starts a user's stream, or updates its data. The user's connection must be among the owners already.
   * @throws {LiftError} FORBIDDEN when another user streams in the channel; STORE_FAILED
   */
  async start(
    key: string,
    { user, data }: { readonly user: string; readonly data: Json | undefined },
    context: CallContext,
  ): Promise<StartedStream> {
    const viewers = await this.#viewers.count(key);
    const decide = (current: LiveStream | undefined) => {
      assertOwner(current, user);
      const since = current?.since ?? this.#now();
      return { live: { user, since, viewers, ...(data === undefined ? {} : { data }) } };
    };
    const { event, stored } = (await this.#streamLog.append(key, decide, context.budget))!;
    return {
      live: event.live,
      fanOut: this.#storedFanOut.send(toSubChannelKey(key, "streams"), stored, context),
    };
  }

  /**
   * Ends a channel's stream and informs the members.
   * @param applies decides whether to end the current stream; its errors are thrown
   * @returns whether a stream was ended
   * @throws {LiftError} STORE_FAILED
   */
  async end(
    key: string,
    reason: "ended" | "owner_left",
    context: CallContext,
    applies: (live: LiveStream) => boolean = () => true,
  ): Promise<boolean> {
    const decide = (live: LiveStream | undefined) =>
      live !== undefined && applies(live) ? { ended: { user: live.user, reason } } : undefined;
    const ended = await this.#streamLog.append(key, decide, context.budget);
    if (ended === undefined) return false;
    await this.#storedFanOut.send(toSubChannelKey(key, "streams"), ended.stored, context);
    return true;
  }

  /** Ends a stream whose owner has not returned within the grace period. */
  async onTick(item: ScheduledItem, tick: Tick, context: CallContext): Promise<void> {
    const { id: key } = item;
    const live = await this.#streamLog.live(key, tick);
    if (live === undefined || (await this.#owners.isPresent(key, live.user))) return;
    // The owner may have returned and left again: then a new grace period has begun.
    if (!(await tick.isStillDue(item))) return;
    await this.end(key, "owner_left", context, (current) => current.since === live.since);
  }
}

/** @throws {LiftError} FORBIDDEN when the stream belongs to another user */
export function assertOwner(live: LiveStream | undefined, userId: string | undefined): void {
  if (live !== undefined && live.user !== userId) {
    throw new LiftError("FORBIDDEN", { message: "Another user streams in the channel" });
  }
}
