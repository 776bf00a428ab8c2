/**
 * What belongs to whom: a user's connections, say, by their ids. It holds the things themselves, as a list that looked
 * each up by its id took twice as long.
 */
export class OwnerIndex<Thing> {
  readonly #owners = new Map<string, Map<string, Thing>>();

  /** Adds a thing, or puts it in the place of the one before. */
  set(owner: string, id: string, thing: Thing): void {
    const things = this.#owners.get(owner);
    if (things === undefined) this.#owners.set(owner, new Map([[id, thing]]));
    else things.set(id, thing);
  }

  delete(owner: string, id: string): void {
    const things = this.#owners.get(owner);
    if (things?.delete(id) && things.size === 0) this.#owners.delete(owner);
  }

  /** In the order in which they came; a copy, so that it may be listed while others come and go. */
  list(owner: string): Thing[] {
    return [...(this.#owners.get(owner)?.values() ?? [])];
  }
}
