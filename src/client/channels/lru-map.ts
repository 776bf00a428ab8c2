/** How many entries there are at most. */
const MAX = 1_000;

/** What was set lately: the oldest gives way. */
export class LruMap<Value> extends Map<string, Value> {
  override set(key: string, value: Value): this {
    this.delete(key);
    const [oldest = key] = this.keys();
    if (this.size >= MAX) this.delete(oldest);
    return super.set(key, value);
  }
}
