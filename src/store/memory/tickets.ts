import type { JsonObject } from "../contracts/json.ts";
import type { TicketStore } from "../contracts/tickets.ts";
import { frozenCopy } from "./freeze.ts";

interface Ticket {
  readonly content: JsonObject;
  readonly expiresAt: number;
}

/** Options of `memoryTicketStore`. */
export interface MemoryTicketStoreOptions {
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** Up to this number of tickets, saves do not check for expired ones. */
const SWEPT_ABOVE = 1_000;

/** Tickets checked for expiry on each save. More than one, so that expired ones never outnumber the others. */
const SWEPT_PER_SAVE = 2;

/**
 * Creates a store of one-time tickets in this process's memory. Saves remove expired tickets, so that tickets that are
 * never redeemed cannot fill the memory.
 * @example
 * const tickets = memoryTicketStore();
 */
export function memoryTicketStore(options: MemoryTicketStoreOptions = {}): TicketStore {
  return new MemoryTicketStore(options.now ?? Date.now);
}

export class MemoryTicketStore implements TicketStore {
  readonly #now: () => number;
  readonly #tickets = new Map<string, Ticket>();
  #sweeper: MapIterator<[string, Ticket]> = this.#tickets.entries();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Number of tickets in memory, expired ones included. */
  get size(): number {
    return this.#tickets.size;
  }

  async save(hash: string, content: JsonObject, expiresAt: number): Promise<void> {
    this.#tickets.set(hash, { content: frozenCopy(content), expiresAt });
    if (this.#tickets.size > SWEPT_ABOVE) this.#sweep(this.#now());
  }

  async take(hash: string, now: number): Promise<JsonObject | undefined> {
    const ticket = this.#tickets.get(hash);
    this.#tickets.delete(hash);
    this.#sweep(now);
    return ticket !== undefined && ticket.expiresAt > now ? ticket.content : undefined;
  }

  /** Sweeps in rounds, so that a long-lived ticket does not block those after it. */
  #sweep(now: number): void {
    for (let checked = 0; checked < SWEPT_PER_SAVE; checked++) {
      const next = this.#sweeper.next();
      if (next.done) {
        this.#sweeper = this.#tickets.entries();
        return;
      }
      const [hash, { expiresAt }] = next.value;
      if (expiresAt <= now) this.#tickets.delete(hash);
    }
  }
}
