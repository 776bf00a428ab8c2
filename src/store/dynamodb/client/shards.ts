/** Returns the shard of an id, always the same one. Any hash spreads random ids; this is FNV-1a. */
export function shardOf(id: string, shards: number): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) {
    value = Math.imul(value ^ id.charCodeAt(index), 0x01000193);
  }
  return (value >>> 0) % shards;
}
