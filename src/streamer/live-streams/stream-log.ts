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
import { fromStore } from "../fan-out/errors.ts";
import { partKey } from "../keys.ts";

/** What happens to a channel's stream. */
export type StreamEvent =
  | { readonly live: LiveStream }
  | { readonly ended: Pick<StreamEndedMessage, "user" | "reason"> };

/** An event, and what it was decided on: the log's last offset then. */
type Entry = StreamEvent & { readonly after: number };

/** The last entry tells who streams; it is kept for as long as a stream may last: a year. */
const BOUNDS = { size: 100, ageMs: 365 * 24 * 60 * 60_000 };

/**
 * The owner of the live stream, as a history beside the channel's own. An entry is appended only behind the entry that it was decided
 * on, so of many starts at once the store takes one. Like every stored message, an entry is sent to the members though
 * the process that stored it dies.
 */
export class StreamLog {
  readonly #history: ChannelHistory;
  readonly #now: () => number;

  constructor(history: ChannelHistory, now: () => number) {
    this.#history = history;
    this.#now = now;
  }

  /** Who streams in a channel. @throws {LiftError} STORE_FAILED */
  async live(key: string, budget: TimeBudget | undefined): Promise<LiveStream | undefined> {
    return (await this.#latest(partKey(key, "streams"), budget)).live;
  }

  /**
   * Writes the event that `decide` returns for the current stream; `undefined` writes nothing.
   * @param decide is called again when somebody else has written meanwhile
   * @throws {LiftError} STORE_FAILED, and what `decide` throws
   */
  async append<Event extends StreamEvent>(
    key: string,
    decide: (live: LiveStream | undefined) => Event | undefined,
    budget: TimeBudget | undefined,
  ): Promise<{ readonly event: Event; readonly stored: AppendResult } | undefined> {
    const log = partKey(key, "streams");
    for (;;) {
      const { live, head } = await this.#latest(log, budget);
      const event = decide(live);
      if (event === undefined) return undefined;
      const data = { ...event, after: head.offset } as unknown as Json;
      const message = { id: randomUUID(), data, at: this.#now() };
      const stored = await fromStore(this.#history.appendAfter(log, head, message, BOUNDS, budget));
      if (stored !== undefined) return { event, stored };
    }
  }

  async #latest(log: string, budget: TimeBudget | undefined) {
    let latest: { live: LiveStream | undefined; head: Position };
    // The last entry counts, but in the log of a version that wrote those that lost, too. And an entry may come between
    // the messages and the head of the first page: it is on the second.
    for (const limit of [1, BOUNDS.size]) {
      const query = { limit, retention: BOUNDS, now: this.#now() };
      const { messages, head } = await fromStore(this.#history.read(log, query, budget));
      const entry = messages.map(entryOf).findLast((one) => one !== undefined);
      const live = entry !== undefined && "live" in entry ? entry.live : undefined;
      latest = { live, head: { epoch: head.epoch, offset: messages.at(-1)?.offset ?? head.offset } };
      if (entry !== undefined || head.offset === 0) break;
    }
    return latest!;
  }
}

/** What members are told of an entry; `undefined`: nothing, for it does not count. */
export function streamMessage(
  channel: string,
  message: StoredMessage,
): StreamStartedMessage | StreamEndedMessage | undefined {
  const { id, at } = message;
  const entry = entryOf(message);
  if (entry === undefined) return undefined;
  if ("live" in entry) return { type: "stream_started", id, channel, at, live: entry.live };
  return { type: "stream_ended", id, channel, at, ...entry.ended };
}

function entryOf({ data, offset }: StoredMessage): Entry | undefined {
  const entry = data as unknown as Entry;
  return entry.after + 1 === offset ? entry : undefined;
}
