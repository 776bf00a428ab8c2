import { KeyedQueue } from "../../internal/keyed-queue.ts";
import { logSafely } from "../../internal/log-safely.ts";
import type { AppendResult, ChannelHistory, TableStreamHistory, TimeBudget } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { channelFromKey, parentChannelKey, subChannelFromKey } from "../channel-keys.ts";
import { toStreamMessage } from "../live-streams/stream-log.ts";
import type { MemberRemover } from "../membership/leave.ts";
import { toChannelMessage } from "../messages.ts";
import type { FanOut, FanOutResult } from "./fan-out.ts";
import type { FanOutRetry } from "./fan-out-retry.ts";

/** A fan-out does not start with less time than this, in ms. */
export const MIN_REMAINING_MS = 1_000;

const NOTHING_TO_SEND: FanOutResult = { complete: true, gone: [] };

/** A stored message and the epoch of its channel. */
type StoredEntry = Pick<AppendResult, "epoch" | "message">;

/**
 * Fans out stored messages. A message whose fan-out fails stays pending in the store until a retry completes it;
 * meanwhile subscribers notice the gap by the next message's position.
 */
export class StoredFanOut {
  readonly #history: ChannelHistory;
  readonly #fanOut: FanOut;
  readonly #remover: MemberRemover;
  readonly #retry: FanOutRetry;
  /** Fan-outs that run in this process now. */
  readonly #running = new Set<string>();
  /** During `resumeFanOuts`: fan-outs that have run in this process since its list began. */
  #skipped: Set<string> | undefined;
  readonly #queue = new KeyedQueue();

  constructor(history: ChannelHistory, fanOut: FanOut, remover: MemberRemover, retry: FanOutRetry) {
    this.#history = history;
    this.#fanOut = fanOut;
    this.#remover = remover;
    this.#retry = retry;
  }

  /**
   * Sends a stored message to the channel's members. Schedules a retry when it does not complete. Never rejects.
   * @param cursor continues the fan-out of another process from there
   * @returns whether the message was sent to every member
   */
  async send(key: string, entry: StoredEntry, context: CallContext, cursor?: string): Promise<boolean> {
    const name = toFanOutName(key, entry.message.offset);
    this.#running.add(name);
    this.#skipped?.add(name);
    const complete = await this.#send(key, entry, context, cursor);
    this.#running.delete(name);
    if (!complete) await this.#scheduleRetry(context);
    return complete;
  }

  /**
   * Resumes pending fan-outs of messages that were stored before a time, except those that run in this process.
   * @param storedBefore in ms since the epoch
   * @returns how many it has completed
   */
  resumeFanOuts(storedBefore: number, context: CallContext): Promise<number> {
    // One call at a time: the list of a second call would include the fan-outs that the first one runs.
    return this.#queue.run("", async () => {
      const skipped = new Set(this.#running);
      this.#skipped = skipped;
      let completed = 0;
      try {
        for await (const { channel, cursor, ...entry } of this.#history.listPendingFanOuts(storedBefore)) {
          if (!hasTimeToSend(context.budget)) {
            await this.#scheduleRetry(context);
            break;
          }
          if (skipped.has(toFanOutName(channel, entry.message.offset))) continue;
          if (await this.send(channel, entry, context, cursor)) completed++;
        }
      } finally {
        this.#skipped = undefined;
      }
      return completed;
    });
  }

  /** Runs the scheduled retry. All pending messages are listed: those that this process is sending are known. */
  onTick(context: CallContext): Promise<void> {
    return this.#retry.run(() => this.resumeFanOuts(Number.MAX_SAFE_INTEGER, context));
  }

  async #scheduleRetry(context: CallContext): Promise<void> {
    // A table's stream delivers the message to the recovery function, so a retry would send it twice.
    if (!isStreamed(this.#history)) await this.#retry.schedule(context);
  }

  async #send(
    key: string,
    { epoch, message }: StoredEntry,
    context: CallContext,
    cursor: string | undefined,
  ): Promise<boolean> {
    const { offset, id } = message;
    const logError = (text: string) => (error: unknown) =>
      logSafely(context.logger, "error", text, { messageId: id, error });
    const onPage = (reached: string) =>
      this.#history
        .checkpoint(key, offset, reached, context.budget)
        .catch(logError("A fan-out's progress was not stored"));
    const isStreamLog = subChannelFromKey(key) === "streams";
    const channel = channelFromKey(key);
    const frame = isStreamLog ? toStreamMessage(channel, message) : toChannelMessage(channel, epoch, message);
    const membersKey = isStreamLog ? parentChannelKey(key) : key;
    try {
      const { complete, gone } =
        frame === undefined
          ? NOTHING_TO_SEND
          : await this.#fanOut.send(membersKey, JSON.stringify(frame), context, { cursor, onPage });
      if (complete) await this.#history.markDelivered(key, offset, context.budget);
      else logSafely(context.logger, "warn", "A fan-out ran out of time", { messageId: id });
      await this.#remover.removeGone(gone, context, [membersKey]);
      return complete;
    } catch (error) {
      logError("A fan-out failed")(error);
      return false;
    }
  }
}

export function isStreamed(history: ChannelHistory): history is TableStreamHistory {
  return "parseTableStreamImage" in history && "getPendingFanOut" in history;
}

export function hasTimeToSend(budget: TimeBudget | undefined): boolean {
  return budget === undefined || budget.getRemainingTimeInMillis() >= MIN_REMAINING_MS;
}

function toFanOutName(key: string, offset: number): string {
  return `${offset}:${key}`;
}
