/** Which connections a user, or a tenant, has. */
export class ConnectionIndex {
  readonly #sets = new Map<string, Set<string>>();

  add(owner: string, id: string): void {
    const set = this.#sets.get(owner);
    if (set === undefined) this.#sets.set(owner, new Set([id]));
    else set.add(id);
  }

  remove(owner: string, id: string): void {
    const set = this.#sets.get(owner);
    if (set?.delete(id) && set.size === 0) this.#sets.delete(owner);
  }

  /** In the order in which they came; a copy, so that it may be listed while connections come and go. */
  ids(owner: string): string[] {
    return [...(this.#sets.get(owner) ?? [])];
  }
}
