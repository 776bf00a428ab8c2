import { randomUUID } from "node:crypto";
import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";
import type { ViewersMessage } from "../../protocol/index.ts";
import type { ChannelMembers, Schedule } from "../../store/index.ts";
import type { Scope } from "../core.ts";
import { fromStore, log } from "../fan-out/errors.ts";
import type { FanOut } from "../fan-out/fan-out.ts";
import { channelOf } from "../keys.ts";
import type { StreamLog } from "../live-streams/stream-log.ts";

/** The kind of the items that tell a count later. */
export const VIEWERS = "streamer:viewers";

/** This process counts a channel, and tells of it, at most once in so many ms. */
const EVERY_MS = 1_000;

/** Channels that are kept in mind before those are forgotten that had their time. */
const KEPT = 1_000;

/** What this process has last done for a channel. */
interface Tally {
  /** Elapsed ms, as `toldAt`. */
  countedAt: number;
  count: Promise<number> | undefined;
  toldAt: number;
  /** It is in the schedule. */
  isPending: boolean;
}

/** Counts who watches a stream. No timer: what may not be told yet is told by the next change, or by a tick. */
export class Viewers {
  readonly #members: ChannelMembers;
  readonly #streams: StreamLog;
  readonly #fanOut: FanOut;
  readonly #schedule: Schedule | undefined;
  readonly #now: () => number;
  readonly #elapsed: Elapsed;
  /** The one asked for last at the end, so that few are looked at to forget some. */
  readonly #tallies = new Map<string, Tally>();

  constructor(
    members: ChannelMembers,
    streams: StreamLog,
    fanOut: FanOut,
    schedule: Schedule | undefined,
    now: () => number,
  ) {
    this.#members = members;
    this.#streams = streams;
    this.#fanOut = fanOut;
    this.#schedule = schedule;
    this.#now = now;
    this.#elapsed = createElapsed(now);
  }

  /** As it was counted within a second. @throws {LiftError} STORE_FAILED */
  count(key: string): Promise<number> {
    const tally = this.#tallyOf(key);
    const now = this.#elapsed();
    if (tally.count === undefined || now - tally.countedAt >= EVERY_MS) this.#recount(key, tally);
    return tally.count!;
  }

  /** Somebody has come or gone. Tells everyone, if it is time. Resolves to whom it found gone; never rejects. */
  async changed(key: string, scope: Scope): Promise<readonly string[]> {
    try {
      const tally = this.#tallyOf(key);
      const now = this.#elapsed();
      if (now - tally.toldAt < EVERY_MS) {
        await this.#later(key, tally, scope);
        return [];
      }
      tally.toldAt = now;
      tally.isPending = false;
      if ((await this.#streams.live(key, scope.budget)) === undefined) return [];
      this.#recount(key, tally);
      return await this.#tell(key, tally, scope);
    } catch (error) {
      log(scope.logger, "error", "The viewers of a stream were not told", { error });
      return [];
    }
  }

  async #tell(key: string, tally: Tally, scope: Scope): Promise<readonly string[]> {
    // Also if it is what this process told last: another may have told something else since.
    const count = await tally.count!;
    const head = { id: randomUUID(), channel: channelOf(key), at: this.#now() };
    const message: ViewersMessage = { type: "viewers", ...head, count };
    return (await this.#fanOut.send(key, JSON.stringify(message), scope)).gone;
  }

  async #later(key: string, tally: Tally, { budget }: Scope): Promise<void> {
    if (tally.isPending) return;
    tally.isPending = true;
    const dueAt = this.#now() + tally.toldAt + EVERY_MS - this.#elapsed();
    const item = { kind: VIEWERS, id: key, dueAt, data: {} };
    await (this.#schedule && fromStore(this.#schedule.put(item, budget)));
  }

  #recount(key: string, tally: Tally): void {
    tally.countedAt = this.#elapsed();
    tally.count = fromStore(this.#members.count(key, this.#now()));
    // A failure is told to who waits for it, and is no count.
    tally.count.catch(() => {
      tally.count = undefined;
    });
  }

  #tallyOf(key: string): Tally {
    const known = this.#tallies.get(key);
    if (known === undefined) this.#forget();
    const tally: Tally = known ?? {
      countedAt: Number.NEGATIVE_INFINITY,
      count: undefined,
      toldAt: Number.NEGATIVE_INFINITY,
      isPending: false,
    };
    this.#tallies.delete(key);
    this.#tallies.set(key, tally);
    return tally;
  }

  #forget(): void {
    const past = this.#elapsed() - EVERY_MS;
    for (const [key, { countedAt, toldAt }] of this.#tallies) {
      if (this.#tallies.size < KEPT || Math.max(countedAt, toldAt) > past) return;
      this.#tallies.delete(key);
    }
  }
}
