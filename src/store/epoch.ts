import { createHash } from "node:crypto";

/** Generations are counted for so many groups of channels, so that they take no more room than this. */
const BUCKETS = 65_536;

/**
 * Returns the epoch of a channel in a store: the same as long as the store lives and has not forgotten the channel. It
 * is derived, so a channel that is only read, by a name that anybody may make up, takes no room.
 * @param life what no other store has, and no other life of this one
 * @param generation how often the store has forgotten a channel of this one's bucket; default 0
 */
export function deriveEpoch(life: string, channel: string, generation = 0): string {
  const origin = generation === 0 ? life : `${life}:${generation}`;
  return createHash("sha256").update(origin).update(JSON.stringify(channel)).digest("base64url").slice(0, 12);
}

/** Returns the group of a channel whose generation grows when the store forgets it: an integer below 65,536. */
export function getEpochBucket(channel: string): number {
  return createHash("sha256").update(JSON.stringify(channel)).digest().readUInt16BE() % BUCKETS;
}
