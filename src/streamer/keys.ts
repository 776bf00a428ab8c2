import { LiftError } from "../lift/index.ts";
import { utf8Length } from "../protocol/index.ts";

/** What a ChannelStore takes as a channel's name. */
const MAX_KEY_BYTES = 1_024;

/**
 * What belongs to a channel and is kept as a channel of its own: the log of its streams, and the connections of those
 * who own one.
 */
type Part = "streams" | "owners";

/** What a part's key has beyond its channel's. */
const PART_BYTES = ',"streams"'.length;

/**
 * What a tenant's channel is called in the stores. No two pairs have one key, whatever stands in them: JSON escapes
 * what would end a name, and a missing tenant is `null`, which no name is.
 */
export function channelKey(tenantId: string | undefined, channel: string): string {
  const key = JSON.stringify([tenantId ?? null, channel]);
  if (utf8Length(key) + PART_BYTES <= MAX_KEY_BYTES) return key;
  throw new LiftError("INTERNAL_ERROR", {
    cause: `The tenant's id and the channel's name exceed ${MAX_KEY_BYTES} bytes`,
  });
}

/** The channel's name in a key: for what members are sent, who are all of its tenant. */
export function channelOf(key: string): string {
  return JSON.parse(key)[1];
}

/** A part of a channel, by the channel's key. */
export function partKey(key: string, part: Part): string {
  return JSON.stringify([...JSON.parse(key), part]);
}

/** `undefined`: it is the key of a channel. */
export function partOf(key: string): Part | undefined {
  return JSON.parse(key)[2];
}

/** That of the channel that a part belongs to; a channel's is its own. */
export function channelKeyOf(key: string): string {
  const [tenantId, channel, part] = JSON.parse(key);
  return part === undefined ? key : JSON.stringify([tenantId, channel]);
}
