import type { ConnectionStore } from "../store/index.ts";
import type { Logger } from "./logger.ts";

/**
 * How long after a connection was first found gone its row may be removed. Before that a `$connect` may still be
 * under way (a row is saved before it ends), or a `$disconnect` that is about to read the row.
 */
const SETTLED_MS = 60_000;

/** Connections remembered at most; past that the oldest sighting is forgotten, and starts anew. */
const REMEMBERED = 10_000;

/**
 * Removes the rows of connections that sends find gone again and again: those whose `$disconnect` never came.
 * What was seen lives in this process's memory; a row that nobody sends to waits for its expiry.
 */
export class GoneConnections {
  readonly #store: ConnectionStore | undefined;
  readonly #logger: Logger;
  readonly #now: () => number;
  /** When each was first found gone, in ms; the oldest first. */
  readonly #firstSeen = new Map<string, number>();

  constructor(store: ConnectionStore | undefined, logger: Logger, now: () => number) {
    this.#store = store;
    this.#logger = logger;
    this.#now = now;
  }

  /** Notes what a send has found. Best effort: never rejects. */
  async found(connectionIds: readonly string[]): Promise<void> {
    const store = this.#store;
    if (store === undefined) return;
    const settled = connectionIds.filter((id) => this.#isSettled(id));
    const removed = await Promise.allSettled(settled.map((id) => store.delete(id)));
    const failure = removed.find((outcome) => outcome.status === "rejected");
    if (failure)
      this.#logger.warn("The rows of gone connections were not removed", { error: failure.reason });
  }

  #isSettled(id: string): boolean {
    const now = this.#now();
    const first = this.#firstSeen.get(id);
    if (first !== undefined) return now - first >= SETTLED_MS && this.#firstSeen.delete(id);
    this.#firstSeen.set(id, now);
    if (this.#firstSeen.size > REMEMBERED) {
      const [oldest] = this.#firstSeen.keys();
      this.#firstSeen.delete(oldest!);
    }
    return false;
  }
}
