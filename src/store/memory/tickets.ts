import type { JsonObject, TicketStore } from "../ports.ts";
import { frozenCopy } from "./freeze.ts";

interface Ticket {
  readonly content: JsonObject;
  readonly expiresAt: number;
}

/** One-time tickets in this process's memory: for one process and as long as it lives. */
export function memoryTicketStore(): TicketStore {
  return new MemoryTicketStore();
}

class MemoryTicketStore implements TicketStore {
  readonly #tickets = new Map<string, Ticket>();

  async save(hash: string, content: JsonObject, expiresAt: number): Promise<void> {
    this.#tickets.set(hash, { content: frozenCopy(content), expiresAt });
  }

  async take(hash: string, now: number): Promise<JsonObject | undefined> {
    const ticket = this.#tickets.get(hash);
    this.#tickets.delete(hash);
    this.#sweep(now);
    return ticket !== undefined && ticket.expiresAt > now ? ticket.content : undefined;
  }

  /** They live equally long, so the first are over first. */
  #sweep(now: number): void {
    for (const [hash, { expiresAt }] of this.#tickets) {
      if (expiresAt > now) break;
      this.#tickets.delete(hash);
    }
  }
}
