/** How many ids are remembered. */
const REMEMBERED = 1_000;

/** The ids that were there lately. */
export class Seen {
  readonly #ids = new Set<string>();

  /** Whether it is there for the first time. */
  add(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    const [oldest = id] = this.#ids;
    if (this.#ids.size > REMEMBERED) this.#ids.delete(oldest);
    return true;
  }
}
