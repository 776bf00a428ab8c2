/** Maximum number of entries. */
const MAX = 1_000;

/** A map of the entries set last: a new one evicts the oldest. */
export class LruMap<Value> extends Map<string, Value> {
  override set(key: string, value: Value): this {
    this.delete(key);
    const [oldest = key] = this.keys();
    if (this.size >= MAX) this.delete(oldest);
    return super.set(key, value);
  }
}
