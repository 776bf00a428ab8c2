/** FNV-1a. Ids are random, so any hash spreads them; the same id always has the same shard. */
export function shardOf(id: string, shards: number): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) {
    value = Math.imul(value ^ id.charCodeAt(index), 0x01000193);
  }
  return (value >>> 0) % shards;
}
