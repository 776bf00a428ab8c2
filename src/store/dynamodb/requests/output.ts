import type { Retry } from "../../../aws/index.ts";
import { NO_OUTPUT } from "../../contracts/request-transitions.ts";
import type { OutputHead, OutputItem, OutputPage } from "../../contracts/requests.ts";
import type { Item } from "../client/errors.ts";
import { REQUEST_ATTRIBUTES as NAMES } from "../tables.ts";
import { MAX_OFFSET, outputKey } from "./keys.ts";
import type { RequestTable } from "./request-table.ts";
import { createBadRowError, partItem } from "./state-item.ts";

/** The token of the empty item that ends the output of a cancelled request. */
const END = "end";

const RANGE = "#Request = :request AND #Item BETWEEN :first AND :last";

/** Names a request's output. */
export interface OutputName {
  readonly partition: string;
  readonly createdAt: string;
}

/** The offset of the last item; or the time of a cancellation, which an empty item ends. */
export type OutputEnd = { readonly offset: number } | { readonly at: number };

/** An item of output as stored. */
interface OutputRow {
  readonly item: OutputItem;
  readonly token: string;
}

/**
 * The output of requests. An item is stored only where its offset is free: that alone keeps an earlier worker from
 * writing, because a take-over and the end take the next offset with an empty item.
 */
export class RequestOutput {
  readonly #table: RequestTable;

  constructor(table: RequestTable) {
    this.#table = table;
  }

  /** The caller knows that the previous offset is taken. @returns `false` when the offset belongs to another item */
  async append(retry: Retry, name: OutputName, token: string, item: OutputItem): Promise<boolean> {
    const row = toItem(name, token, item);
    const { written, item: existing } = await this.#table.putIf(retry, row, "attribute_not_exists(#Item)");
    if (written) return true;
    // An earlier attempt stored it, and the response was lost.
    return existing?.[NAMES.token]?.S === token && existing[NAMES.data]?.S === row[NAMES.data]?.S;
  }

  /** Takes the first free offset for a claim, unless this claim wrote the last item. @returns the last item */
  takeOver(retry: Retry, name: OutputName, token: string, at: number): Promise<OutputHead> {
    return this.#mark(retry, name, token, at);
  }

  /** Takes the first free offset, so that nothing can be appended any more. */
  async end(retry: Retry, name: OutputName, at: number): Promise<void> {
    await this.#mark(retry, name, END, at);
  }

  async readHead(retry: Retry, name: OutputName): Promise<OutputHead> {
    return toHead(await this.#readLast(retry, name));
  }

  /** @param end what ends the output, if the request is final */
  async read(
    retry: Retry,
    name: OutputName,
    page: { readonly after: number; readonly limit: number },
    end: OutputEnd | undefined,
  ): Promise<OutputPage> {
    const lastOffset = end !== undefined && "offset" in end ? end.offset : MAX_OFFSET;
    const rows = await this.#readAfter(retry, name, page, lastOffset);
    const items = rows.slice(0, page.limit).map(({ item }) => item);
    const isRest = rows.length <= page.limit;
    const last = (isRest ? rows.at(-1) : undefined) ?? (await this.#readLast(retry, name, lastOffset));
    // The process that cancelled the request died before it could end the output.
    if (isRest && end !== undefined && "at" in end && last?.token !== END) {
      await this.end(retry, name, end.at);
      return this.read(retry, name, page, undefined);
    }
    return { head: toHead(last), items, more: !isRest };
  }

  async #mark(retry: Retry, name: OutputName, token: string, at: number): Promise<OutputHead> {
    for (;;) {
      const last = await this.#readLast(retry, name);
      const head = toHead(last);
      if (last?.token === token) return head;
      const item: OutputItem = { ...head, offset: head.offset + 1, data: {}, at };
      const row = toItem(name, token, item);
      const { written } = await this.#table.putIf(retry, row, "attribute_not_exists(#Item)");
      if (written) return toHead({ item, token });
    }
  }

  async #readLast(
    retry: Retry,
    { partition, createdAt }: OutputName,
    lastOffset = MAX_OFFSET,
  ): Promise<OutputRow | undefined> {
    const { items } = await this.#table.query(retry, RANGE, range(partition, createdAt, 1, lastOffset), {
      ScanIndexForward: false,
      Limit: 1,
      ConsistentRead: true,
    });
    return items[0] && parseItem(items[0]);
  }

  /** Reads one item more than the limit, if there is one. */
  async #readAfter(
    retry: Retry,
    { partition, createdAt }: OutputName,
    { after, limit }: { readonly after: number; readonly limit: number },
    lastOffset: number,
  ): Promise<OutputRow[]> {
    const rows: OutputRow[] = [];
    const [first, last] = [after + 1, Math.min(after + 1 + limit, lastOffset)];
    let start: Item | undefined;
    do {
      if (first > last) break;
      const page = await this.#table.query(retry, RANGE, range(partition, createdAt, first, last), {
        ConsistentRead: true,
        ExclusiveStartKey: start,
      });
      rows.push(...page.items.map(parseItem));
      start = page.last;
    } while (start !== undefined);
    return rows;
  }
}

function range(partition: string, createdAt: string, first: number, last: number): Item {
  return {
    ":request": { S: partition },
    ":first": { S: outputKey(createdAt, first) },
    ":last": { S: outputKey(createdAt, last) },
  };
}

function toItem({ partition, createdAt }: OutputName, token: string, item: OutputItem): Item {
  const { offset, data, chunks, bytes, at } = item;
  const row = partItem(
    partition,
    outputKey(createdAt, offset),
    { S: JSON.stringify({ data, chunks, bytes, at }) },
    at,
  );
  return { ...row, [NAMES.token]: { S: token } };
}

function parseItem(item: Item): OutputRow {
  try {
    const offset = Number(item[NAMES.item]?.S?.split("/").at(-1));
    const parsed = JSON.parse(item[NAMES.data]?.S ?? "") as Omit<OutputItem, "offset">;
    return { item: { offset, ...parsed }, token: item[NAMES.token]?.S ?? "" };
  } catch (cause) {
    throw createBadRowError(item, cause);
  }
}

function toHead(last: OutputRow | undefined): OutputHead {
  const { offset, chunks, bytes } = last?.item ?? NO_OUTPUT;
  return { offset, chunks, bytes };
}
