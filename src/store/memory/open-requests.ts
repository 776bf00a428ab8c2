import type { RequestKey, StoredRequest } from "../contracts/requests.ts";

/** The fields of a request that decide its turn. */
export type OpenRequest = RequestKey & Pick<StoredRequest, "tenant" | "priority" | "createdAt">;

interface Entry extends OpenRequest {
  /** The order of requests with the same time. */
  readonly sequence: number;
  /** ms since the epoch. */
  claimableAt: number;
  ready: boolean;
}

/**
 * Indexes the requests that are not final: counts them, and lists those that a worker may claim. A list costs time for the
 * requests that it returns, not for those that wait.
 */
export class OpenRequests {
  readonly #entries = new Map<string, Entry>();
  readonly #owners = new Counts();
  readonly #tenants = new Counts();
  readonly #queue = new FairQueue();
  /** Not claimable when they were set. */
  readonly #later = new Set<Entry>();
  /** Nothing in `#later` is claimable before. */
  #earliest = Number.POSITIVE_INFINITY;
  #added = 0;

  /**
   * Adds a request, or changes the time from which it may be claimed. If it cannot be claimed any more, a worker has done so,
   * and it is the next tenant's turn.
   * @param claimableAt ms since the epoch
   * @param now ms since the epoch
   */
  set(request: OpenRequest, claimableAt: number, now: number): void {
    const name = requestMapKey(request);
    const entry = this.#entries.get(name) ?? this.#add(name, request);
    const wasReady = entry.ready;
    this.#remove(entry);
    entry.claimableAt = claimableAt;
    this.#insert(entry, now);
    if (wasReady && !entry.ready) this.#queue.endTurn(entry);
  }

  delete(key: RequestKey): void {
    const name = requestMapKey(key);
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#remove(entry);
    this.#entries.delete(name);
    this.#owners.add(entry.owner, -1);
    this.#tenants.add(entry.tenant, -1);
  }

  count(of: { readonly owner: string } | { readonly tenant: string }): number {
    return "owner" in of ? this.#owners.get(of.owner) : this.#tenants.get(of.tenant);
  }

  keys(): RequestKey[] {
    return [...this.#entries.values()];
  }

  /** Lists the requests that may be claimed. They may change meanwhile. @param now ms since the epoch */
  *due(now: number): Generator<RequestKey> {
    if (this.#earliest <= now) this.#wake(now);
    yield* this.#queue.list(now);
  }

  #add(name: string, { owner, id, tenant, priority, createdAt }: OpenRequest): Entry {
    const sequence = this.#added++;
    const entry = { owner, id, tenant, priority, createdAt, sequence, claimableAt: 0, ready: false };
    this.#entries.set(name, entry);
    this.#owners.add(owner, 1);
    this.#tenants.add(tenant, 1);
    return entry;
  }

  #insert(entry: Entry, now: number): void {
    entry.ready = entry.claimableAt <= now;
    if (entry.ready) this.#queue.add(entry);
    else {
      this.#later.add(entry);
      this.#earliest = Math.min(this.#earliest, entry.claimableAt);
    }
  }

  #remove(entry: Entry): void {
    if (entry.ready) this.#queue.remove(entry);
    else this.#later.delete(entry);
    entry.ready = false;
  }

  #wake(now: number): void {
    this.#earliest = Number.POSITIVE_INFINITY;
    for (const entry of this.#later) {
      if (entry.claimableAt <= now) this.#later.delete(entry);
      this.#insert(entry, now);
    }
  }
}

/** Orders requests by priority. Within a priority the tenants take turns, and a tenant's requests are in order of age. */
class FairQueue {
  /** The order of a map's tenants is the order of their turns. */
  readonly #priorities = new Map<number, Map<string, Entry[]>>();

  add(entry: Entry): void {
    const { priority, tenant } = entry;
    const tenants = this.#priorities.get(priority) ?? new Map<string, Entry[]>();
    this.#priorities.set(priority, tenants);
    const waiting = tenants.get(tenant);
    if (waiting === undefined) tenants.set(tenant, [entry]);
    else waiting.splice(findPlace(waiting, entry), 0, entry);
  }

  remove(entry: Entry): void {
    const { priority, tenant } = entry;
    const tenants = this.#priorities.get(priority);
    const waiting = tenants?.get(tenant);
    if (tenants === undefined || waiting === undefined) return;
    waiting.splice(findPlace(waiting, entry) - 1, 1);
    if (waiting.length === 0) tenants.delete(tenant);
    if (tenants.size === 0) this.#priorities.delete(priority);
  }

  /** Lets the other tenants of this priority come first. */
  endTurn({ priority, tenant }: Pick<OpenRequest, "priority" | "tenant">): void {
    const tenants = this.#priorities.get(priority);
    const waiting = tenants?.get(tenant);
    if (tenants === undefined || waiting === undefined) return;
    tenants.delete(tenant);
    tenants.set(tenant, waiting);
  }

  *list(now: number): Generator<Entry> {
    for (const priority of [...this.#priorities.keys()].sort((a, b) => b - a)) {
      const tenants = this.#priorities.get(priority);
      if (tenants !== undefined) yield* takeTurns(tenants, now);
    }
  }
}

function* takeTurns(tenants: ReadonlyMap<string, readonly Entry[]>, now: number): Generator<Entry> {
  let turns = [...tenants.keys()].map((tenant): [string, Entry | undefined] => [tenant, undefined]);
  while (turns.length > 0) {
    const next: typeof turns = [];
    for (const [tenant, last] of turns) {
      const entry = findNext(tenants.get(tenant) ?? [], last, now);
      if (entry === undefined) continue;
      next.push([tenant, entry]);
      yield entry;
    }
    turns = next;
  }
}

function findNext(waiting: readonly Entry[], last: Entry | undefined, now: number): Entry | undefined {
  let at = last === undefined ? 0 : findPlace(waiting, last);
  // The caller's clock may be behind the store's.
  while (at < waiting.length && waiting[at]!.claimableAt > now) at++;
  return waiting[at];
}

/** Returns the index after the entries that are not younger, by binary search. */
function findPlace(waiting: readonly Entry[], entry: Entry): number {
  let [from, to] = [0, waiting.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (compareAge(waiting[middle]!, entry) <= 0) from = middle + 1;
    else to = middle;
  }
  return from;
}

function compareAge(a: Entry, b: Entry): number {
  return a.createdAt - b.createdAt || a.sequence - b.sequence;
}

class Counts {
  readonly #counts = new Map<string, number>();

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(name: string, amount: number): void {
    const count = this.get(name) + amount;
    if (count === 0) this.#counts.delete(name);
    else this.#counts.set(name, count);
  }
}

/** Returns a key that no other pair has. */
export function requestMapKey({ owner, id }: RequestKey): string {
  return JSON.stringify([owner, id]);
}
