import type { StoredRequest } from "../../store/index.ts";
import { keyOf } from "./request-keys.ts";

interface Entry {
  readonly request: StoredRequest;
  readonly dueAt: number;
}

/** Requests of one tenant with one priority and action, in the order of their arrival. */
class Lane {
  readonly #entries: (Entry | undefined)[] = [];
  #first = 0;

  get isEmpty(): boolean {
    while (this.#first < this.#entries.length && this.#entries[this.#first] === undefined) this.#first++;
    return this.#first === this.#entries.length;
  }

  push(entry: Entry): void {
    this.#entries.push(entry);
  }

  shift(): Entry | undefined {
    if (this.isEmpty) return undefined;
    const entry = this.#entries[this.#first];
    this.#entries[this.#first++] = undefined;
    // Frees what was taken, at a cost that the taken ones have paid for.
    if (this.#first > 1_000 && this.#first * 2 > this.#entries.length) {
      this.#entries.splice(0, this.#first);
      this.#first = 0;
    }
    return entry;
  }
}

/** Requests of one tenant with the same priority and action. */
interface Group {
  readonly priority: number;
  readonly action: string;
  readonly lane: Lane;
}

/**
 * The requests that wait for a worker of this process. Tenants take turns; within a tenant the highest priority goes first,
 * then the oldest. An action that runs as often as its `concurrency` allows does not delay the others.
 */
export class RunQueue {
  readonly #concurrencyOf: (action: string) => number;
  /** By tenant, in the order of their turns; then by priority and action. */
  readonly #tenants = new Map<string, Map<string, Group>>();
  /** Those that are due later, by key. */
  readonly #delayed = new Map<string, Entry>();
  /** The keys of all that wait. */
  readonly #keys = new Set<string>();
  readonly #running = new Map<string, number>();
  #nextDueAt = Number.POSITIVE_INFINITY;

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
    if (this.#keys.has(key)) return;
    this.#keys.add(key);
    if (dueAt <= now) {
      this.#line({ request, dueAt });
    } else {
      this.#delayed.set(key, { request, dueAt });
      this.#nextDueAt = Math.min(this.#nextDueAt, dueAt);
    }
  }

  delete(key: string): void {
    this.#delayed.delete(key);
    this.#keys.delete(key);
  }

  /** Returns the next request that may run; `release` it when it has ended. */
  take(now: number): StoredRequest | undefined {
    if (now >= this.#nextDueAt) this.#promote(now);
    for (const [tenant, groups] of this.#tenants) {
      const request = this.#takeFrom(groups);
      if (request === undefined && groups.size > 0) continue;
      this.#tenants.delete(tenant);
      // Behind the other tenants.
      if (groups.size > 0) this.#tenants.set(tenant, groups);
      if (request === undefined) continue;
      this.#running.set(request.action, (this.#running.get(request.action) ?? 0) + 1);
      return request;
    }
    return undefined;
  }

  release({ action }: StoredRequest): void {
    const running = (this.#running.get(action) ?? 1) - 1;
    if (running === 0) this.#running.delete(action);
    else this.#running.set(action, running);
  }

  #takeFrom(groups: Map<string, Group>): StoredRequest | undefined {
    const isFree = ({ action }: Group) => (this.#running.get(action) ?? 0) < this.#concurrencyOf(action);
    const free = [...groups].filter(([, group]) => isFree(group));
    free.sort(([, one], [, other]) => other.priority - one.priority);
    for (const [name, { lane }] of free) {
      for (let entry = lane.shift(); entry !== undefined; entry = lane.shift()) {
        if (lane.isEmpty) groups.delete(name);
        // Otherwise it was deleted.
        if (this.#keys.delete(keyOf(entry.request))) return entry.request;
      }
      groups.delete(name);
    }
    return undefined;
  }

  #promote(now: number): void {
    this.#nextDueAt = Number.POSITIVE_INFINITY;
    for (const [key, entry] of this.#delayed) {
      if (entry.dueAt > now) {
        this.#nextDueAt = Math.min(this.#nextDueAt, entry.dueAt);
        continue;
      }
      this.#delayed.delete(key);
      this.#line(entry);
    }
  }

  #line(entry: Entry): void {
    const { tenant, priority, action } = entry.request;
    const groups = this.#tenants.get(tenant) ?? new Map<string, Group>();
    this.#tenants.set(tenant, groups);
    const name = JSON.stringify([priority, action]);
    const group = groups.get(name) ?? { priority, action, lane: new Lane() };
    groups.set(name, group);
    group.lane.push(entry);
  }
}
