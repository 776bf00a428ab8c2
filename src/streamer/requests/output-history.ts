import type {
  HistoryPage,
  HistoryQuery,
  Json,
  Position,
  RequestStore,
  TimeBudget,
} from "../../store/index.ts";
import type { CompactMessage, ReadableHistory } from "../readable-history.ts";
import { OUTPUT_EPOCH } from "./messages.ts";
import { compactOutput } from "./output-writer.ts";
import { requestFromChannelKey } from "./request-keys.ts";

/** Items read from the store at a time. */
const ITEMS_PER_READ = 1_000;
/** The largest message that covers several items; a frame holds it with the fields around it. */
const MAX_COMPACT_BYTES = 98_304;

/** Reads the outputs of requests as the histories of their channels, and all other channels from the store. */
export class OutputHistory implements ReadableHistory {
  readonly #history: ReadableHistory;
  readonly #requests: RequestStore;

  constructor(history: ReadableHistory, requests: RequestStore) {
    this.#history = history;
    this.#requests = requests;
  }

  async read(channel: string, query: HistoryQuery, budget?: TimeBudget): Promise<HistoryPage> {
    const key = requestFromChannelKey(channel);
    if (key === undefined) return this.#history.read(channel, query, budget);
    const { before = Number.POSITIVE_INFINITY, limit } = query;
    const after = query.after ?? (await this.#startOfNewest(channel, before, budget));
    const page = await this.#requests.readOutput(key, { after, limit: ITEMS_PER_READ }, budget);
    const items = page.items.filter(({ offset }) => offset < before);
    const compact = compactOutput(items, MAX_COMPACT_BYTES);
    const selected = query.after === undefined ? compact.slice(-limit) : compact.slice(0, limit);
    const messages = selected.map(
      ({ offset, from, data, at }): CompactMessage => ({
        id: `${key.id}:${offset}`,
        data: data as Json,
        at,
        offset,
        from,
      }),
    );
    return {
      head: { epoch: OUTPUT_EPOCH, offset: page.head.offset },
      messages,
      more: page.more || selected.length < compact.length,
    };
  }

  /** Returns the offset after which a read finds the newest items before an offset. */
  async #startOfNewest(channel: string, before: number, budget: TimeBudget | undefined): Promise<number> {
    const { offset } = await this.readHead(channel, budget);
    return Math.max(0, Math.min(offset, before - 1) - ITEMS_PER_READ);
  }

  async readHead(channel: string, budget?: TimeBudget): Promise<Position> {
    const key = requestFromChannelKey(channel);
    if (key === undefined) return this.#history.readHead(channel, budget);
    const { head } = await this.#requests.readOutput(
      key,
      { after: Number.MAX_SAFE_INTEGER, limit: 1 },
      budget,
    );
    return { epoch: OUTPUT_EPOCH, offset: head.offset };
  }
}
