import { createHash } from "node:crypto";

/**
 * The epoch of a channel of a store: the same as long as the store lives. So a channel that is only read, by a name
 * that anybody may make up, takes no room.
 * @param life what no other store has, and no other life of this one
 */
export function epochOf(life: string, channel: string): string {
  return createHash("sha256").update(life).update(JSON.stringify(channel)).digest("base64url").slice(0, 12);
}
