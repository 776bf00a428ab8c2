import { LIMITS } from "../../../protocol/index.ts";
import type {
  HistoryPage,
  HistoryQuery,
  Json,
  Position,
  RequestKey,
  RequestStore,
  TimeBudget,
} from "../../../store/index.ts";
import { jsonBytes } from "../../messages.ts";
import type { CompactMessage, ReadableHistory } from "../../readable-history.ts";
import { OUTPUT_EPOCH } from "../messages.ts";
import { requestFromChannelKey } from "../request-keys.ts";
import { type CompactItem, compactOutput } from "./writer.ts";

/** Items read from the store at a time: an item may have 64 KiB, and a response has 128 KiB. */
const ITEMS_PER_READ = 100;
/** Reads for one page of history: 1,000 short items in all. */
const MAX_READS = 10;
/** The largest message that covers several items; a frame holds it with the fields around it. */
const MAX_COMPACT_BYTES = 98_304;

/** Selects items of an output. */
interface Selection {
  readonly key: RequestKey;
  readonly after: number;
  readonly before: number;
  readonly limit: number;
  readonly budget: TimeBudget | undefined;
}

/** The selected items, as few messages, and the offset of the output's last item. */
interface SelectedOutput {
  readonly head: number;
  readonly items: readonly CompactItem[];
  readonly more: boolean;
}

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
    const { after = 0, before = Number.POSITIVE_INFINITY, limit } = query;
    const selection = { key, after, before, limit, budget };
    const { head, items, more } = await (query.after === undefined
      ? this.#readNewest(selection)
      : this.#readOldest(selection));
    const messages = items.map(
      ({ offset, from, data, at }): CompactMessage => ({
        id: `${key.id}:${offset}`,
        data: data as Json,
        at,
        offset,
        from,
      }),
    );
    return { head: { epoch: OUTPUT_EPOCH, offset: head }, messages, more };
  }

  async readHead(channel: string, budget?: TimeBudget): Promise<Position> {
    const key = requestFromChannelKey(channel);
    if (key === undefined) return this.#history.readHead(channel, budget);
    return { epoch: OUTPUT_EPOCH, offset: await this.#readHead(key, budget) };
  }

  async #readHead(key: RequestKey, budget: TimeBudget | undefined): Promise<number> {
    const page = { after: Number.MAX_SAFE_INTEGER, limit: 1 };
    return (await this.#requests.readOutput(key, page, budget)).head.offset;
  }

  async #readOldest({ key, after, before, limit, budget }: Selection): Promise<SelectedOutput> {
    let items: CompactItem[] = [];
    for (let reads = 1; ; reads++) {
      const next = { after: items.at(-1)?.offset ?? after, limit: ITEMS_PER_READ };
      const page = await this.#requests.readOutput(key, next, budget);
      const found = page.items.filter(({ offset }) => offset < before);
      items = compactOutput([...items, ...found], MAX_COMPACT_BYTES);
      const isEnd = !page.more || found.length < page.items.length;
      if (!isEnd && reads < MAX_READS && !fillsResponse(items, limit)) continue;
      const oldest = items.slice(0, limit);
      const last = oldest.at(-1)?.offset ?? after;
      const head = page.head.offset;
      return { head, items: oldest, more: last < Math.min(head, before - 1) };
    }
  }

  async #readNewest({ key, before, limit, budget }: Selection): Promise<SelectedOutput> {
    const head = await this.#readHead(key, budget);
    let items: CompactItem[] = [];
    let end = Math.min(head, before - 1);
    for (let reads = 1; end > 0 && reads <= MAX_READS && !fillsResponse(items, limit); reads++) {
      const after = Math.max(0, end - ITEMS_PER_READ);
      const page = await this.#requests.readOutput(key, { after, limit: end - after }, budget);
      items = compactOutput([...page.items, ...items], MAX_COMPACT_BYTES);
      end = after;
    }
    const newest = items.slice(-limit);
    return { head, items: newest, more: (newest[0]?.from ?? 1) > 1 };
  }
}

function fillsResponse(items: readonly CompactItem[], limit: number): boolean {
  return items.length >= limit || jsonBytes(items) >= LIMITS.messageBytes;
}
