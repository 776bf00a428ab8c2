import { randomUUID } from "node:crypto";
import type { LiveStream, StreamEndedMessage, StreamStartedMessage } from "../../protocol/index.ts";
import type {
  AppendResult,
  ChannelHistory,
  Json,
  Position,
  StoredMessage,
  TimeBudget,
} from "../../store/index.ts";
import { toSubChannelKey } from "../channel-keys.ts";
import { awaitStore } from "../errors.ts";

/** A change of a channel's live stream. */
type StreamEvent =
  | { readonly live: LiveStream }
  | { readonly ended: Pick<StreamEndedMessage, "user" | "reason"> };

/** An event with the offset of the entry that it was decided on. */
type LogEntry = StreamEvent & { readonly after: number };

/** The last entry holds the current stream. It is stored as long as a stream may last: a year. */
const RETENTION = { size: 100, ageMs: 365 * 24 * 60 * 60_000 };

/**
 * Stores the current live stream of each channel, as a history beside the channel's own. An entry is appended only
 * directly after the entry that it was decided on, so the store accepts one of several simultaneous starts. Entries
 * reach the members even when the process that stored them dies, as all stored messages do.
 */
export class StreamLog {
  readonly #history: ChannelHistory;
  readonly #now: () => number;

  constructor(history: ChannelHistory, now: () => number) {
    this.#history = history;
    this.#now = now;
  }

  /** Returns a channel's current live stream. @throws {LiftError} STORE_FAILED */
  async live(key: string, budget: TimeBudget | undefined): Promise<LiveStream | undefined> {
    return (await this.#readLatest(toSubChannelKey(key, "streams"), budget)).live;
  }

  /**
   * Appends the event that `decide` returns for the current stream; `undefined` appends nothing.
   * @param decide is called again when another writer has appended meanwhile
   * @throws {LiftError} STORE_FAILED, and the errors of `decide`
   */
  async append<Event extends StreamEvent>(
    key: string,
    decide: (live: LiveStream | undefined) => Event | undefined,
    budget: TimeBudget | undefined,
  ): Promise<{ readonly event: Event; readonly stored: AppendResult } | undefined> {
    const logKey = toSubChannelKey(key, "streams");
    for (;;) {
      const { live, head, at: lastAt } = await this.#readLatest(logKey, budget);
      const event = decide(live);
      if (event === undefined) return undefined;
      const data = { ...event, after: head.offset } as unknown as Json;
      // Later than the entry before, even if another process stored that one in the same ms or has a clock that is ahead:
      // clients receive entries in any order, and keep the latest.
      const message = { id: randomUUID(), data, at: Math.max(this.#now(), lastAt + 1) };
      const stored = await awaitStore(this.#history.appendAfter(logKey, head, message, RETENTION, budget));
      if (stored !== undefined) return { event, stored };
    }
  }

  async #readLatest(logKey: string, budget: TimeBudget | undefined) {
    let latest: { live: LiveStream | undefined; head: Position; at: number };
    // One message is enough, with two exceptions: logs of a version that also stored entries that lost, and an entry
    // that was appended between the read of the messages and the read of the head. The second page covers both.
    for (const limit of [1, RETENTION.size]) {
      const query = { limit, retention: RETENTION, now: this.#now() };
      const { messages, head } = await awaitStore(this.#history.read(logKey, query, budget));
      const entry = messages.map(toLogEntry).findLast((candidate) => candidate !== undefined);
      const live = entry !== undefined && "live" in entry ? entry.live : undefined;
      const { offset = head.offset, at = 0 } = messages.at(-1) ?? {};
      latest = { live, head: { epoch: head.epoch, offset }, at };
      if (entry !== undefined || head.offset === 0) break;
    }
    return latest!;
  }
}

/** Returns the message that members receive for a log entry; `undefined` for an entry that lost. */
export function toStreamMessage(
  channel: string,
  message: StoredMessage,
): StreamStartedMessage | StreamEndedMessage | undefined {
  const { id, at } = message;
  const entry = toLogEntry(message);
  if (entry === undefined) return undefined;
  if ("live" in entry) return { type: "stream_started", id, channel, at, live: entry.live };
  return { type: "stream_ended", id, channel, at, ...entry.ended };
}

/** Returns `undefined` for an entry that lost: it does not directly follow the entry that it was decided on. */
function toLogEntry({ data, offset }: StoredMessage): LogEntry | undefined {
  const entry = data as unknown as LogEntry;
  return entry.after + 1 === offset ? entry : undefined;
}
