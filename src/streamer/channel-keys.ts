import { LiftError } from "../lift/index.ts";
import { utf8Length } from "../protocol/index.ts";
import { FEW_MEMBERS } from "../store/index.ts";

/** The longest channel name that a `ChannelStore` accepts. */
const MAX_KEY_BYTES = 1_024;

/** The reserved namespace of long requests: the channel of a request has its watchers and its output. */
export const REQUEST_NAMESPACE = "request";

/** The tenant and the user to whom a channel's name refers. The members of a tenant share its channels, except those of requests. */
export interface Scope {
  readonly tenantId?: string | undefined;
  readonly userId?: string | undefined;
}

/**
 * The meaning of a key's third part. Data that a store keeps beside a channel, under a key of its own: `streams` is the
 * log of the channel's live streams, `owners` lists the connections of the users who own one. `request` is the channel of
 * a request, and the fourth part its user, because the users of a tenant may choose the same id. `FEW_MEMBERS` follows.
 */
type KeyKind = "streams" | "owners" | "request";

/** Bytes that a sub-channel adds to its channel's key. `FEW_MEMBERS` is shorter, and a request has no sub-channels. */
const SUB_CHANNEL_BYTES = ',"streams"'.length;

/**
 * Returns the store's key for a channel. Different pairs never share a key: JSON escapes quotes in names, and a
 * missing tenant is `null`, which no tenant ID equals.
 * @throws {LiftError} INTERNAL_ERROR when the key exceeds 1,024 bytes
 */
export function toChannelKey({ tenantId, userId }: Scope, channel: string): string {
  const isRequest = channel.startsWith(`${REQUEST_NAMESPACE}:`);
  const owner = isRequest ? ["request" satisfies KeyKind, userId ?? null] : [];
  const key = JSON.stringify([tenantId ?? null, channel, ...owner]);
  if (utf8Length(key) + SUB_CHANNEL_BYTES <= MAX_KEY_BYTES) {
    return isRequest ? key.slice(0, -1) + FEW_MEMBERS : key;
  }
  throw new LiftError("INTERNAL_ERROR", {
    cause: `The tenant ID, the user ID and the channel name exceed ${MAX_KEY_BYTES} bytes`,
  });
}

/** Returns the channel's name without its tenant. It may be sent to members, because they share the tenant. */
export function channelFromKey(key: string): string {
  return JSON.parse(key)[1];
}

export function toSubChannelKey(key: string, subChannel: "streams" | "owners"): string {
  return JSON.stringify([...JSON.parse(key), subChannel]);
}

/** Returns `undefined` for the key of a channel itself. */
export function subChannelFromKey(key: string): "streams" | "owners" | undefined {
  const kind = JSON.parse(key)[2] as KeyKind | undefined;
  return kind === "request" ? undefined : kind;
}

/** Returns the key of the channel that a sub-channel belongs to; a channel's own key is returned as it is. */
export function parentChannelKey(key: string): string {
  if (subChannelFromKey(key) === undefined) return key;
  const [tenantId, channel] = JSON.parse(key);
  return JSON.stringify([tenantId, channel]);
}
