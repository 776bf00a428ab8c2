import { randomUUID } from "node:crypto";
import type { LiveStream, StreamEndedMessage, StreamStartedMessage } from "../protocol/index.ts";
import type { Appended, ChannelHistory, Json, StoredMessage, TimeBudget } from "../store/index.ts";
import { fromStore } from "./failures.ts";
import { partKey } from "./keys.ts";

/** What happens to a channel's stream. */
export type StreamEvent =
  | { readonly live: LiveStream }
  | { readonly ended: Pick<StreamEndedMessage, "user" | "reason"> };

/** An event, and what it was decided on: the log's last offset then. */
type Entry = StreamEvent & { readonly after: number };

/** The last entry is what counts, for as long as a stream may last: a year. */
const BOUNDS = { size: 100, ageMs: 365 * 24 * 60 * 60_000 };

/**
 * Who streams, as a history beside the channel's own. Its offsets have no gaps, so that of several who decide at once
 * one is right: an entry counts if nothing has come between it and what it was decided on. And what is stored there is
 * told, as every stored message is, though the process that stored it dies.
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
   * Writes what follows from who streams now; `undefined`: nothing.
   * @param decide is asked again when somebody else has written meanwhile
   * @throws {LiftError} STORE_FAILED, and what `decide` throws
   */
  async append<Event extends StreamEvent>(
    key: string,
    decide: (live: LiveStream | undefined) => Event | undefined,
    budget: TimeBudget | undefined,
  ): Promise<{ readonly event: Event; readonly stored: Appended } | undefined> {
    const log = partKey(key, "streams");
    for (;;) {
      const { live, offset: after } = await this.#latest(log, budget);
      const event = decide(live);
      if (event === undefined) return undefined;
      const data = { ...event, after } as unknown as Json;
      const message = { id: randomUUID(), data, at: this.#now() };
      const stored = await fromStore(this.#history.append(log, message, BOUNDS, budget));
      if (stored.message.offset === after + 1) return { event, stored };
      await fromStore(this.#history.finish(log, stored.message.offset, budget));
    }
  }

  async #latest(log: string, budget: TimeBudget | undefined) {
    let offset = 0;
    // The last one counts, but where several have written at once.
    for (const limit of [1, BOUNDS.size]) {
      const query = { limit, bounds: BOUNDS, now: this.#now() };
      const { messages, head } = await fromStore(this.#history.history(log, query, budget));
      offset = messages.at(-1)?.offset ?? head.offset;
      const entry = messages.map(entryOf).findLast((one) => one !== undefined);
      if (entry !== undefined) return { live: "live" in entry ? entry.live : undefined, offset };
      if (messages.length === 0) break;
    }
    return { live: undefined, offset };
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
