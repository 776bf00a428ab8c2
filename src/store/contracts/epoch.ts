import { createHash } from "node:crypto";

/** Limits the storage of generations, which are counted per bucket of channels. */
const BUCKETS = 65_536;

/**
 * Derives the epoch of a channel. It is the same as long as the store exists and has not forgotten the channel. Because it
 * is derived, a channel that is only read needs no storage; anyone may read any name.
 * @param storeId an id that no other store has, nor the same store after it lost its data
 * @param generation how often the store has forgotten a channel of this one's bucket; default 0
 */
export function deriveEpoch(storeId: string, channel: string, generation = 0): string {
  const origin = generation === 0 ? storeId : `${storeId}:${generation}`;
  return createHash("sha256").update(origin).update(JSON.stringify(channel)).digest("base64url").slice(0, 12);
}

/** Returns the bucket of a channel, whose generation grows when the store forgets the channel: an integer below 65,536. */
export function getEpochBucket(channel: string): number {
  return createHash("sha256").update(JSON.stringify(channel)).digest().readUInt16BE() % BUCKETS;
}
