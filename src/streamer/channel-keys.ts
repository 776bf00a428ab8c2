import { LiftError } from "../lift/index.ts";
import { utf8Length } from "../protocol/index.ts";

/** The longest channel name that a `ChannelStore` accepts. */
const MAX_KEY_BYTES = 1_024;

/**
 * Data that a store keeps beside a channel, under a key of its own: `streams` is the log of the channel's live streams,
 * `owners` lists the connections of the users who own one.
 */
type SubChannel = "streams" | "owners";

/** Bytes that a sub-channel adds to its channel's key. */
const SUB_CHANNEL_BYTES = ',"streams"'.length;

/**
 * Returns the store's key for a tenant's channel. Different pairs never share a key: JSON escapes quotes in names, and a
 * missing tenant is `null`, which no tenant ID equals.
 * @throws {LiftError} INTERNAL_ERROR when the key exceeds 1,024 bytes
 */
export function toChannelKey(tenantId: string | undefined, channel: string): string {
  const key = JSON.stringify([tenantId ?? null, channel]);
  if (utf8Length(key) + SUB_CHANNEL_BYTES <= MAX_KEY_BYTES) return key;
  throw new LiftError("INTERNAL_ERROR", {
    cause: `The tenant ID and the channel name exceed ${MAX_KEY_BYTES} bytes`,
  });
}

/** Returns the channel's name without its tenant. It may be sent to members, because they share the tenant. */
export function channelFromKey(key: string): string {
  return JSON.parse(key)[1];
}

export function toSubChannelKey(key: string, subChannel: SubChannel): string {
  return JSON.stringify([...JSON.parse(key), subChannel]);
}

/** Returns `undefined` for the key of a channel itself. */
export function subChannelFromKey(key: string): SubChannel | undefined {
  return JSON.parse(key)[2];
}

/** Returns the key of the channel that a sub-channel belongs to; a channel's own key is returned as it is. */
export function parentChannelKey(key: string): string {
  const [tenantId, channel, subChannel] = JSON.parse(key);
  return subChannel === undefined ? key : JSON.stringify([tenantId, channel]);
}
