/** Bounds the dates that are kept while a clock that was set back has not passed them. */
const MAX_DATES = 10_000;

/**
 * Dates presence events so that their times order a user's joins, updates and leaves, even within one millisecond. A leave
 * is later than its join, also across processes whose clocks differ. A join may be dated before an overlapping leave of
 * another process: clients then miss the user until their next heartbeat.
 */
export class PresenceOrder {
  readonly #now: () => number;
  /** The last update or leave by channel and user, oldest first. The clock has not passed these dates yet. */
  readonly #lastDates = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Dates a join before it is stored. */
  joinedAt(key: string, userId: string): number {
    return Math.max(this.#now(), this.#nextAfterLast(key, userId));
  }

  /** Dates an update before it is stored. */
  updatedAt(key: string, userId: string): number {
    return this.#record(key, userId, this.joinedAt(key, userId));
  }

  /**
   * Dates a leave after it was stored.
   * @param requestedAt when the store was called: a join that the store took later must not be dated earlier
   */
  leftAt(
    key: string,
    user: { readonly userId: string; readonly since: number },
    requestedAt: number,
  ): number {
    const { userId, since } = user;
    return this.#record(key, userId, Math.max(requestedAt, since + 1, this.#nextAfterLast(key, userId)));
  }

  #nextAfterLast(key: string, userId: string): number {
    return (this.#lastDates.get(toMapKey(key, userId)) ?? Number.NEGATIVE_INFINITY) + 1;
  }

  #record(key: string, userId: string, at: number): number {
    const now = this.#now();
    for (const [mapKey, last] of this.#lastDates) {
      if (last >= now && this.#lastDates.size < MAX_DATES) break;
      this.#lastDates.delete(mapKey);
    }
    const mapKey = toMapKey(key, userId);
    this.#lastDates.delete(mapKey);
    this.#lastDates.set(mapKey, at);
    return at;
  }
}

/** JSON keeps different pairs apart. */
function toMapKey(key: string, userId: string): string {
  return JSON.stringify([key, userId]);
}
