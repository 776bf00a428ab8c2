/** Where a clock was set back, times that it has yet to reach again are forgotten beyond so many. */
const KEPT = 10_000;

/**
 * Dates presence events so that their times tell in which order a user came, changed and left, though all of it may
 * happen within a millisecond, or be dated by processes whose clocks differ.
 */
export class PresenceOrder {
  readonly #now: () => number;
  /** The last update or leave by channel and user, the oldest first: those that the clock has not passed yet. */
  readonly #last = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** For a join that is about to be stored. */
  joinedAt(key: string, userId: string): number {
    return Math.max(this.#now(), this.#after(key, userId));
  }

  /** For an update that is about to be stored. */
  updatedAt(key: string, userId: string): number {
    return this.#note(key, userId, this.joinedAt(key, userId));
  }

  /**
   * For a leave that was stored.
   * @param askedAt when the store was asked: a join that came behind it must not be earlier
   */
  leftAt(key: string, user: { readonly userId: string; readonly since: number }, askedAt: number): number {
    const { userId, since } = user;
    return this.#note(key, userId, Math.max(askedAt, since + 1, this.#after(key, userId)));
  }

  #after(key: string, userId: string): number {
    return (this.#last.get(nameOf(key, userId)) ?? Number.NEGATIVE_INFINITY) + 1;
  }

  #note(key: string, userId: string, at: number): number {
    const now = this.#now();
    for (const [name, last] of this.#last) {
      if (last >= now && this.#last.size < KEPT) break;
      this.#last.delete(name);
    }
    const name = nameOf(key, userId);
    this.#last.delete(name);
    this.#last.set(name, at);
    return at;
  }
}

/** No two pairs share it. */
function nameOf(key: string, userId: string): string {
  return JSON.stringify([key, userId]);
}
