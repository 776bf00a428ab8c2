import type { RequestKey, StoredRequest } from "../../store/index.ts";
import { keyOf } from "./request-keys.ts";

interface Entry {
  readonly request: StoredRequest;
  /** The order of arrival. */
  readonly number: number;
}

/** Requests of one tenant with one priority and action, in the order of their arrival. */
class Lane {
  readonly #entries: (Entry | undefined)[] = [];
  #first = 0;

  push(entry: Entry): void {
    this.#entries.push(entry);
  }

  /** Returns the first entry that still waits, and forgets those before it. */
  findFirst(waits: (entry: Entry) => boolean): Entry | undefined {
    for (let entry = this.#entries[this.#first]; entry; entry = this.#entries[this.#first]) {
      if (waits(entry)) return entry;
      this.shift();
    }
    return undefined;
  }

  shift(): void {
    this.#entries[this.#first++] = undefined;
    // Only when most entries are gone, so that each costs the same on average.
    if (this.#first > 1_000 && this.#first * 2 > this.#entries.length) {
      this.#entries.splice(0, this.#first);
      this.#first = 0;
    }
  }
}

/** By action. */
type Lanes = Map<string, Lane>;

/**
 * The requests that wait for a worker of this process, in the order of a store's `listDue`: the highest priority first; within
 * a priority the tenants take turns, and a tenant's oldest request goes first. An action that runs as often as its
 * `concurrency` allows does not delay the others.
 */
export class RunQueue {
  readonly #concurrencyOf: (action: string) => number;
  /** By priority, then by tenant in the order of their turns. */
  readonly #priorities = new Map<number, Map<string, Lanes>>();
  /** All that wait, by key. An entry of a lane that is not here was deleted. */
  readonly #waiting = new Map<string, Entry>();
  /** Those that are due later: when, in ms since the epoch. */
  readonly #delayed = new Map<Entry, number>();
  readonly #running = new Map<string, number>();
  #nextDueAt = Number.POSITIVE_INFINITY;
  #added = 0;

  constructor(concurrencyOf: (action: string) => number) {
    this.#concurrencyOf = concurrencyOf;
  }

  /** When the next delayed request is due, in ms since the epoch; `Infinity` when there is none. */
  get nextDueAt(): number {
    return this.#nextDueAt;
  }

  /** Adds a request, unless it waits already. @param now ms since the epoch */
  add(request: StoredRequest, dueAt: number, now: number): void {
    const key = keyOf(request);
    if (this.#waiting.has(key)) return;
    const entry = { request, number: this.#added++ };
    this.#waiting.set(key, entry);
    if (dueAt <= now) {
      this.#line(entry);
    } else {
      this.#delayed.set(entry, dueAt);
      this.#nextDueAt = Math.min(this.#nextDueAt, dueAt);
    }
  }

  delete(key: string): void {
    const entry = this.#waiting.get(key);
    if (entry === undefined) return;
    this.#waiting.delete(key);
    this.#delayed.delete(entry);
  }

  /** Returns the next request that may run; `release` it when it has ended. */
  take(now: number): StoredRequest | undefined {
    if (now >= this.#nextDueAt) this.#promote(now);
    for (const priority of [...this.#priorities.keys()].sort((one, other) => other - one)) {
      const tenants = this.#priorities.get(priority)!;
      const request = this.#takeTurn(tenants);
      if (tenants.size === 0) this.#priorities.delete(priority);
      if (request === undefined) continue;
      this.#waiting.delete(keyOf(request));
      this.#running.set(request.action, (this.#running.get(request.action) ?? 0) + 1);
      return request;
    }
    return undefined;
  }

  /**
   * Counts a request that was not added as running, if it would be the next one: nothing else is due. `release` it when it
   * has ended.
   */
  reserve(request: RequestKey & { readonly action: string }, now: number): boolean {
    if (now >= this.#nextDueAt) this.#promote(now);
    const running = this.#running.get(request.action) ?? 0;
    const isNext = this.#waiting.size === this.#delayed.size && !this.#waiting.has(keyOf(request));
    if (!isNext || running >= this.#concurrencyOf(request.action)) return false;
    this.#running.set(request.action, running + 1);
    return true;
  }

  release({ action }: StoredRequest): void {
    const running = (this.#running.get(action) ?? 1) - 1;
    if (running === 0) this.#running.delete(action);
    else this.#running.set(action, running);
  }

  #takeTurn(tenants: Map<string, Lanes>): StoredRequest | undefined {
    for (const [tenant, lanes] of tenants) {
      const request = this.#takeOldest(lanes);
      if (lanes.size === 0) tenants.delete(tenant);
      // Each of its actions runs as often as it may.
      if (request === undefined) continue;
      if (tenants.delete(tenant)) tenants.set(tenant, lanes);
      return request;
    }
    return undefined;
  }

  #takeOldest(lanes: Lanes): StoredRequest | undefined {
    let oldest: { readonly entry: Entry; readonly lane: Lane } | undefined;
    for (const [action, lane] of lanes) {
      const entry = lane.findFirst((each) => this.#waiting.get(keyOf(each.request)) === each);
      if (entry === undefined) lanes.delete(action);
      else if ((this.#running.get(action) ?? 0) >= this.#concurrencyOf(action)) continue;
      else if (oldest === undefined || entry.number < oldest.entry.number) oldest = { entry, lane };
    }
    oldest?.lane.shift();
    return oldest?.entry.request;
  }

  #promote(now: number): void {
    this.#nextDueAt = Number.POSITIVE_INFINITY;
    for (const [entry, dueAt] of this.#delayed) {
      if (dueAt > now) {
        this.#nextDueAt = Math.min(this.#nextDueAt, dueAt);
        continue;
      }
      this.#delayed.delete(entry);
      this.#line(entry);
    }
  }

  #line(entry: Entry): void {
    const { tenant, priority, action } = entry.request;
    const tenants = this.#priorities.get(priority) ?? new Map<string, Lanes>();
    this.#priorities.set(priority, tenants);
    const lanes = tenants.get(tenant) ?? new Map<string, Lane>();
    tenants.set(tenant, lanes);
    const lane = lanes.get(action) ?? new Lane();
    lanes.set(action, lane);
    lane.push(entry);
  }
}
