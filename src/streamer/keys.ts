import { LiftError } from "../lift/index.ts";
import { utf8Length } from "../protocol/index.ts";

/** What a ChannelStore takes as a channel's name. */
const MAX_KEY_BYTES = 1_024;

/**
 * What a tenant's channel is called in the stores. No two pairs have one key, whatever stands in them: JSON escapes
 * what would end a name, and a missing tenant is `null`, which no name is.
 */
export function channelKey(tenantId: string | undefined, channel: string): string {
  const key = JSON.stringify([tenantId ?? null, channel]);
  if (utf8Length(key) <= MAX_KEY_BYTES) return key;
  throw new LiftError("INTERNAL_ERROR", {
    cause: `The tenant's id and the channel's name exceed ${MAX_KEY_BYTES} bytes`,
  });
}

/** The channel's name in a key: for what members are sent, who are all of its tenant. */
export function channelOf(key: string): string {
  return JSON.parse(key)[1];
}
