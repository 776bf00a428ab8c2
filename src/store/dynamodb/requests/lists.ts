import {
  decodeRequestCursor,
  encodeRequestCursor,
  type RequestCursor,
} from "../../contracts/request-cursor.ts";
import type { RequestKey, RequestPage, StoredRequest } from "../../contracts/requests.ts";
import type { TimeBudget } from "../../contracts/time-budget.ts";
import type { Item } from "../client/errors.ts";
import { REQUEST_ATTRIBUTES as NAMES, OPEN_INDEX, OWNER_INDEX } from "../tables.ts";
import { DueRequests } from "./due.ts";
import {
  formatTime,
  OPEN_CLASSES,
  openShard,
  ownerKey,
  ownerPrefix,
  partitionKey,
  runningOrder,
  SHARD_NAMES,
  tableKey,
  tenantHash,
} from "./keys.ts";
import { BATCH_SIZE, type RequestTable } from "./request-table.ts";
import { parseUnexpired, stateKey } from "./state-item.ts";

/** All classes of `OPEN_INDEX` except dead letters. */
const OPEN_RANGE = "#OpenShard = :shard AND #OpenOrder BETWEEN :first AND :last";
const OPEN_VALUES: Item = { ":first": { S: OPEN_CLASSES.delayed }, ":last": { S: OPEN_CLASSES.failed } };

/** Reads the indexes of the request table. They have keys only, by which each request is read as it is now. */
export class RequestLists {
  readonly #table: RequestTable;
  readonly #now: () => number;
  readonly #due: DueRequests;

  constructor(table: RequestTable, now: () => number) {
    this.#table = table;
    this.#now = now;
    this.#due = new DueRequests(table);
  }

  async listByOwner(
    owner: string,
    { after, limit }: { readonly after?: string | undefined; readonly limit: number },
    budget?: TimeBudget,
  ): Promise<RequestPage> {
    const retry = this.#table.client.startRetry(budget);
    const requests: StoredRequest[] = [];
    let start = after === undefined ? undefined : startKey(owner, decodeRequestCursor(after));
    do {
      const page = await this.#table.query(
        retry,
        "#Owner = :owner",
        { ":owner": { S: ownerKey(owner) } },
        {
          IndexName: OWNER_INDEX.name,
          ScanIndexForward: false,
          // One more, to know whether there is another page.
          Limit: Math.min(BATCH_SIZE, limit + 1 - requests.length),
          ExclusiveStartKey: start,
        },
      );
      const rows = await this.#table.batchGet(retry, page.items.map(tableKey));
      requests.push(...rows.flatMap((item) => parseUnexpired(item, this.#now())?.request ?? []));
      start = page.last;
    } while (start !== undefined && requests.length <= limit);
    const last = requests.length > limit ? requests[limit - 1] : undefined;
    return {
      requests: requests.slice(0, limit),
      ...(last === undefined ? {} : { next: encodeRequestCursor(last) }),
    };
  }

  async countOpen(
    of: { readonly owner: string } | { readonly tenant: string },
    limit: number,
    budget?: TimeBudget,
  ): Promise<number> {
    const shards = "owner" in of ? [openShard(of.owner)] : SHARD_NAMES;
    const isCounted =
      "owner" in of
        ? (item: Item) => item[NAMES.request]?.S?.startsWith(ownerPrefix(of.owner)) === true
        : (item: Item) => item[NAMES.openOrder]?.S?.includes(tenantHash(of.tenant)) === true;
    return this.#count(shards, OPEN_VALUES, isCounted, limit, budget);
  }

  async #count(
    shards: readonly string[],
    range: Item,
    isCounted: (item: Item) => boolean,
    limit: number,
    budget: TimeBudget | undefined,
  ): Promise<number> {
    const counts = await Promise.all(
      shards.map(async (shard) => {
        let count = 0;
        for await (const item of this.#openItems(shard, range, budget)) {
          if (isCounted(item) && ++count >= limit) break;
        }
        return count;
      }),
    );
    return Math.min(
      limit,
      counts.reduce((sum, count) => sum + count, 0),
    );
  }

  listDue(now: number): AsyncIterable<StoredRequest> {
    return this.#due.list(now);
  }

  listWaiting(now: number, full: ReadonlySet<string>): AsyncIterable<StoredRequest> {
    return this.#due.listWaiting(now, full);
  }

  async *listOverdue(now: number): AsyncGenerator<StoredRequest> {
    yield* await this.#due.listOverdue(now);
  }

  async countRunning(
    { tenant, except }: { readonly tenant?: string | undefined; readonly except?: RequestKey | undefined },
    limit: number,
    budget?: TimeBudget,
  ): Promise<number> {
    const prefix = tenant === undefined ? OPEN_CLASSES.running : runningOrder(tenant);
    const isCounted = (item: Item) => except === undefined || item[NAMES.request]?.S !== partitionKey(except);
    const range = { ":first": { S: prefix }, ":last": { S: `${prefix}~` } };
    return this.#count(SHARD_NAMES, range, isCounted, limit, budget);
  }

  async *listFailed(): AsyncGenerator<StoredRequest> {
    for (const shard of SHARD_NAMES) {
      let start: Item | undefined;
      do {
        const page = await this.#table.query(
          this.#table.client.startRetry(),
          "#OpenShard = :shard AND begins_with(#OpenOrder, :failed)",
          { ":shard": { S: shard }, ":failed": { S: OPEN_CLASSES.failed } },
          { IndexName: OPEN_INDEX.name, Limit: BATCH_SIZE, ExclusiveStartKey: start },
        );
        const rows = await this.#table.batchGet(this.#table.client.startRetry(), page.items.map(tableKey));
        for (const item of rows) {
          const request = parseUnexpired(item, this.#now())?.request;
          if (request?.state === "FAILED") yield request;
        }
        start = page.last;
      } while (start !== undefined);
    }
  }

  async *#openItems(shard: string, range: Item, budget: TimeBudget | undefined): AsyncGenerator<Item> {
    let start: Item | undefined;
    do {
      const page = await this.#table.query(
        this.#table.client.startRetry(budget),
        OPEN_RANGE,
        { ":shard": { S: shard }, ...range },
        { IndexName: OPEN_INDEX.name, ExclusiveStartKey: start },
      );
      yield* page.items;
      start = page.last;
    } while (start !== undefined);
  }
}

function startKey(owner: string, { createdAt, id }: RequestCursor): Item {
  return {
    ...stateKey({ owner, id }),
    [NAMES.owner]: { S: ownerKey(owner) },
    [NAMES.createdAt]: { S: formatTime(createdAt) },
  };
}
