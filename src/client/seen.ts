/** How many ids are remembered. */
const REMEMBERED = 1_000;

/** The ids that were there lately. */
export class Seen {
  readonly #ids = new Set<string>();

  /** Whether it is there for the first time. */
  add(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > REMEMBERED) {
      for (const oldest of this.#ids) {
        this.#ids.delete(oldest);
        break;
      }
    }
    return true;
  }
}
