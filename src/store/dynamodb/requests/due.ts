import { isClaimable } from "../../contracts/request-transitions.ts";
import type { StoredRequest } from "../../contracts/requests.ts";
import type { Item } from "../client/errors.ts";
import { REQUEST_ATTRIBUTES as NAMES, OPEN_INDEX } from "../tables.ts";
import { formatRank, formatTime, OPEN_CLASSES, SHARD_NAMES, tableKey, tenantHash } from "./keys.ts";
import { BATCH_SIZE, type RequestTable } from "./request-table.ts";
import { parseState } from "./state-item.ts";

/** States read at once. A caller often needs only the first. */
const PAGE_SIZE = 25;

/** Greater than every character of a key's parts. */
const LAST = "~";

const { delayed, open, running } = OPEN_CLASSES;

/**
 * Lists requests that are due. A range of the index has all of a priority, within it one of each tenant, and within that one
 * the requests by age. So the first due request is found at once, however many wait behind it.
 */
export class DueRequests {
  readonly #table: RequestTable;

  constructor(table: RequestTable) {
    this.#table = table;
  }

  async *list(now: number): AsyncGenerator<StoredRequest> {
    yield* this.#listByPriority(now, await this.listOverdue(now), new Set());
  }

  /** @param full tenants whose requests are left out */
  listWaiting(now: number, full: ReadonlySet<string>): AsyncGenerator<StoredRequest> {
    return this.#listByPriority(now, [], full);
  }

  async *#listByPriority(
    now: number,
    others: readonly StoredRequest[],
    full: ReadonlySet<string>,
  ): AsyncGenerator<StoredRequest> {
    const ranks = new Set(others.map(({ priority }) => formatRank(priority)));
    for (let after: string = open; ; ) {
      const order = await this.#findFirst(after, open + LAST);
      const found = order?.split("/")[1];
      const next = [...ranks, ...(found === undefined ? [] : [found])].sort()[0];
      if (next === undefined) return;
      ranks.delete(next);
      after = `${open}${next}/${LAST}`;
      const same = others.filter(({ priority }) => formatRank(priority) === next);
      yield* this.#takeTurns(`${open}${next}/`, same, now, full);
    }
  }

  /** Yields the first request of each tenant, then the second of each, and so on. */
  async *#takeTurns(
    prefix: string,
    others: readonly StoredRequest[],
    now: number,
    full: ReadonlySet<string>,
  ): AsyncGenerator<StoredRequest> {
    const byTenant = new Map<string, StoredRequest[]>();
    for (const other of others) {
      const hash = tenantHash(other.tenant);
      byTenant.set(hash, [...(byTenant.get(hash) ?? []), other]);
    }
    const waiting: { readonly tenant: string; readonly list: AsyncIterator<StoredRequest> }[] = [];
    const takeOne = async function* (list: AsyncIterator<StoredRequest>) {
      const { done, value } = await list.next();
      if (done || full.has(value.tenant)) return;
      waiting.push({ tenant: value.tenant, list });
      yield value;
    };
    for await (const tenant of this.#listTenants(prefix)) {
      const requests = this.#listTenant(`${prefix}${tenant}/`, now);
      yield* takeOne(mergeByAge(requests, byTenant.get(tenant) ?? []));
      byTenant.delete(tenant);
    }
    for (const list of byTenant.values()) yield* takeOne(mergeByAge(empty(), list));
    while (waiting.length > 0) {
      for (const { tenant, list } of waiting.splice(0)) if (!full.has(tenant)) yield* takeOne(list);
    }
  }

  /** Begins anywhere, so that callers that need one request do not all get the same tenant's. */
  async *#listTenants(prefix: string): AsyncGenerator<string> {
    const middle = prefix + tenantHash(String(Math.random()));
    for (const [from, to] of [
      [middle, prefix + LAST],
      [prefix, middle],
    ] as const) {
      for (let after = from; ; ) {
        const order = await this.#findFirst(after, to);
        if (order === undefined) break;
        const tenant = order.split("/")[2]!;
        yield tenant;
        after = `${prefix}${tenant}/${LAST}`;
        if (after >= to) break;
      }
    }
  }

  async *#listTenant(prefix: string, now: number): AsyncGenerator<StoredRequest> {
    let keys: Item[] = [];
    for await (const key of mergeSorted(
      SHARD_NAMES.map((shard) => this.#listKeys(shard, prefix, prefix + LAST)),
    )) {
      if (keys.push(key) < PAGE_SIZE) continue;
      yield* await this.#readDue(keys, now);
      keys = [];
    }
    yield* await this.#readDue(keys, now);
  }

  /** Lists delayed and retried requests that are due, and counted ones whose lease has expired. */
  async listOverdue(now: number): Promise<StoredRequest[]> {
    const ranges = [
      [delayed, delayed + formatTime(now) + LAST],
      [running, running + LAST],
    ] as const;
    const lists = ranges.flatMap(([from, to]) =>
      SHARD_NAMES.map(async (shard) => {
        const found: StoredRequest[] = [];
        const keys: Item[] = [];
        for await (const key of this.#listKeys(shard, from, to)) keys.push(key);
        for (let at = 0; at < keys.length; at += BATCH_SIZE) {
          found.push(...(await this.#readDue(keys.slice(at, at + BATCH_SIZE), now)));
        }
        return found;
      }),
    );
    return (await Promise.all(lists)).flat().sort(compareAge);
  }

  /** Returns the least order of all shards within the bounds. */
  async #findFirst(from: string, to: string): Promise<string | undefined> {
    const firsts = SHARD_NAMES.map(async (shard) => (await this.#query(shard, from, to, 1)).items[0]);
    const orders = (await Promise.all(firsts)).flatMap((item) => item?.[NAMES.openOrder]?.S ?? []);
    return orders.sort()[0];
  }

  async *#listKeys(shard: string, from: string, to: string): AsyncGenerator<Item> {
    let start: Item | undefined;
    do {
      const page = await this.#query(shard, from, to, PAGE_SIZE, start);
      yield* page.items;
      start = page.last;
    } while (start !== undefined);
  }

  #query(shard: string, from: string, to: string, limit: number, start?: Item) {
    // Each page has its own deadline, because the caller decides how long it processes a page.
    return this.#table.query(
      this.#table.client.startRetry(),
      "#OpenShard = :shard AND #OpenOrder BETWEEN :from AND :to",
      { ":shard": { S: shard }, ":from": { S: from }, ":to": { S: to } },
      { IndexName: OPEN_INDEX.name, Limit: limit, ExclusiveStartKey: start },
    );
  }

  async #readDue(keys: readonly Item[], now: number): Promise<StoredRequest[]> {
    if (keys.length === 0) return [];
    const items = await this.#table.batchGet(this.#table.client.startRetry(), keys.map(tableKey));
    return items.flatMap((item) => {
      try {
        const { request } = parseState(item);
        return isClaimable(request, now) ? [request] : [];
      } catch {
        // A malformed request must not hide the others.
        return [];
      }
    });
  }
}

function compareAge(a: StoredRequest, b: StoredRequest): number {
  return a.createdAt - b.createdAt;
}

async function* empty(): AsyncGenerator<StoredRequest> {}

/** Merges requests with others, both by age. */
async function* mergeByAge(
  requests: AsyncIterable<StoredRequest>,
  others: readonly StoredRequest[],
): AsyncGenerator<StoredRequest> {
  const left = [...others];
  for await (const request of requests) {
    while (left[0] !== undefined && compareAge(left[0], request) < 0) yield left.shift()!;
    yield request;
  }
  yield* left;
}

/** Merges lists of index keys, each in the index's order. */
async function* mergeSorted(lists: readonly AsyncIterator<Item>[]): AsyncGenerator<Item> {
  const orderOf = (item: Item) => item[NAMES.openOrder]?.S ?? "";
  const heads = await Promise.all(lists.map(async (list) => ({ list, next: await list.next() })));
  for (;;) {
    const left = heads.filter(({ next }) => !next.done);
    if (left.length === 0) return;
    const least = left.reduce((a, b) => (orderOf(b.next.value) < orderOf(a.next.value) ? b : a));
    yield least.next.value;
    least.next = await least.list.next();
  }
}
