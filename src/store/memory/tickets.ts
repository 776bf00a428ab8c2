import type { JsonObject } from "../contracts/json.ts";
import type { TicketStore } from "../contracts/tickets.ts";
import { frozenCopy } from "./freeze.ts";

interface Ticket {
  readonly content: JsonObject;
  readonly expiresAt: number;
}

export interface MemoryTicketStoreOptions {
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** As many tickets are kept without a look at their expiry. */
const SWEPT_ABOVE = 1_000;

/** Tickets looked at for expiry on each save: more than one, so that expired ones never outgrow the others. */
const SWEPT_PER_SAVE = 2;

/**
 * One-time tickets in this process's memory: for one process and as long as it lives. Saving removes expired tickets,
 * so that nobody fills the memory by asking for tickets that are never redeemed.
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

  /** Tickets in memory, expired ones included. */
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

  /** Round and round: a ticket that lives longer must not keep those behind it. */
  #sweep(now: number): void {
    for (let looked = 0; looked < SWEPT_PER_SAVE; looked++) {
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
