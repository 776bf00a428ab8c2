import { randomUUID } from "node:crypto";
import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";
import { logSafely } from "../../internal/log-safely.ts";
import type { ViewersMessage } from "../../protocol/index.ts";
import type { ChannelMembers, Schedule } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { channelFromKey } from "../channel-keys.ts";
import { awaitStore } from "../errors.ts";
import type { FanOut } from "../fan-out/fan-out.ts";
import type { StreamLog } from "../live-streams/stream-log.ts";

/** The kind of the scheduled item that sends a delayed viewer count. */
export const SEND_VIEWER_COUNT = "streamer:viewers";

/** Minimum ms between two counts of a channel, and between two messages about it, in this process. */
const INTERVAL_MS = 1_000;

/** Above this number of channels, those past their interval are forgotten. */
const MAX_IDLE_CHANNELS = 1_000;

/** The last count of one channel. Times are in elapsed ms. */
interface ViewerCount {
  countedAt: number;
  count: Promise<number> | undefined;
  sentAt: number;
  isScheduled: boolean;
}

interface ViewerCountsOptions {
  readonly members: ChannelMembers;
  readonly streamLog: StreamLog;
  readonly fanOut: FanOut;
  readonly schedule: Schedule | undefined;
  /** ms since the epoch. */
  readonly now: () => number;
}

/**
 * Counts the viewers of live streams and sends the counts to them. Without timers: a count that comes too soon after the
 * last one is sent with the next change, or by a tick.
 */
export class ViewerCounts {
  readonly #members: ChannelMembers;
  readonly #streamLog: StreamLog;
  readonly #fanOut: FanOut;
  readonly #schedule: Schedule | undefined;
  readonly #now: () => number;
  readonly #elapsed: Elapsed;
  /** By channel key, least recently used first, so that forgetting looks at few entries. */
  readonly #counts = new Map<string, ViewerCount>();

  constructor({ members, streamLog, fanOut, schedule, now }: ViewerCountsOptions) {
    this.#members = members;
    this.#streamLog = streamLog;
    this.#fanOut = fanOut;
    this.#schedule = schedule;
    this.#now = now;
    this.#elapsed = createElapsed(now);
  }

  /** Returns a channel's number of connections, at most a second old. @throws {LiftError} STORE_FAILED */
  count(key: string): Promise<number> {
    const entry = this.#entryOf(key);
    const now = this.#elapsed();
    if (entry.count === undefined || now - entry.countedAt >= INTERVAL_MS) this.#recount(key, entry);
    return entry.count!;
  }

  /**
   * Sends the viewer count after a connection has joined or left; within a second of the last one, schedules it. Never
   * rejects.
   * @returns the IDs of members whose connections have ended
   */
  async onChange(key: string, context: CallContext): Promise<readonly string[]> {
    try {
      const entry = this.#entryOf(key);
      const now = this.#elapsed();
      if (now - entry.sentAt < INTERVAL_MS) {
        await this.#sendLater(key, entry, context);
        return [];
      }
      entry.sentAt = now;
      entry.isScheduled = false;
      if ((await this.#streamLog.live(key, context.budget)) === undefined) return [];
      this.#recount(key, entry);
      return await this.#send(key, entry, context);
    } catch (error) {
      logSafely(context.logger, "error", "A viewer count was not sent", { error });
      return [];
    }
  }

  async #send(key: string, entry: ViewerCount, context: CallContext): Promise<readonly string[]> {
    // An unchanged count is sent too: another process may have sent a different one since.
    const count = await entry.count!;
    const head = { id: randomUUID(), channel: channelFromKey(key), at: this.#now() };
    const message: ViewersMessage = { type: "viewers", ...head, count };
    return (await this.#fanOut.send(key, JSON.stringify(message), context)).gone;
  }

  async #sendLater(key: string, entry: ViewerCount, { budget }: CallContext): Promise<void> {
    if (entry.isScheduled) return;
    entry.isScheduled = true;
    const dueAt = this.#now() + entry.sentAt + INTERVAL_MS - this.#elapsed();
    const item = { kind: SEND_VIEWER_COUNT, id: key, dueAt, data: {} };
    await (this.#schedule && awaitStore(this.#schedule.put(item, budget)));
  }

  #recount(key: string, entry: ViewerCount): void {
    entry.countedAt = this.#elapsed();
    entry.count = awaitStore(this.#members.count(key, this.#now()));
    // Callers that await this count receive the failure; the next call counts again.
    entry.count.catch(() => {
      entry.count = undefined;
    });
  }

  #entryOf(key: string): ViewerCount {
    const known = this.#counts.get(key);
    if (known === undefined) this.#forget();
    const entry: ViewerCount = known ?? {
      countedAt: Number.NEGATIVE_INFINITY,
      count: undefined,
      sentAt: Number.NEGATIVE_INFINITY,
      isScheduled: false,
    };
    this.#counts.delete(key);
    this.#counts.set(key, entry);
    return entry;
  }

  #forget(): void {
    const past = this.#elapsed() - INTERVAL_MS;
    for (const [key, { countedAt, sentAt }] of this.#counts) {
      if (this.#counts.size < MAX_IDLE_CHANNELS || Math.max(countedAt, sentAt) > past) return;
      this.#counts.delete(key);
    }
  }
}
