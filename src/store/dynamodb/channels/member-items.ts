import { createHash, randomInt } from "node:crypto";
import { FEW_MEMBERS, type Member } from "../../contracts/channel-members.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Item } from "../client/errors.ts";
import { boundedKey, keyText, MAX_SORT_KEY_BYTES, textOfKey } from "../client/key-text.ts";
import { shardOf } from "../client/shards.ts";
import { MEMBER_ATTRIBUTES as NAMES } from "../tables.ts";

/**
 * A partition serves 3,000 read units per second, so all shards serve 24,000. Each shard costs a reader of a channel
 * at least one unit.
 */
const SHARDS = 8;

export const MEMBER_PREFIX = "member";
export const USER_PREFIX = "user";

/** Returns the number of a channel's shards. */
export function countShards(channel: string): number {
  return channel.endsWith(FEW_MEMBERS) ? 1 : SHARDS;
}

/** Returns the partition key of one shard of a channel. Members are sharded by connection id, users by user id. */
export function shardGroup(channel: string, shard: number): string {
  return `${shard}${keyText(channel)}`;
}

export function connectionGroup(connectionId: string): string {
  return `connection${keyText(connectionId)}`;
}

export function memberKey(channel: string, connectionId: string): Item {
  const group = shardGroup(channel, shardOf(connectionId, countShards(channel)));
  return itemKey(group, MEMBER_PREFIX + keyText(connectionId));
}

export function userKey(channel: string, userId: string): Item {
  const user = boundedKey(keyText(userId), MAX_SORT_KEY_BYTES - USER_PREFIX.length);
  return itemKey(shardGroup(channel, shardOf(userId, countShards(channel))), USER_PREFIX + user);
}

/**
 * Returns the key of a subscription: the item that lists one channel of a connection. The channel is hashed, because
 * a sort key has at most 1,024 bytes.
 */
export function subscriptionKey(channel: string, connectionId: string): Item {
  return itemKey(connectionGroup(connectionId), createHash("sha256").update(channel).digest("base64url"));
}

/** Creates the id of one `add`: seven digits, the last one not 0, because they become the fraction of a number. */
export function createJoinId(): string {
  return String(10 * randomInt(100_000, 1_000_000) + randomInt(1, 10));
}

/**
 * Formats an entry: the expiry, with the id of the `add` as its fraction. A separate attribute would make a fan-out
 * read 8 bytes more per member, and earlier versions could not read it in a user's item.
 */
export function formatConnectionEntry(expiresAt: number, joinId: string): string {
  return joinId === "" ? String(expiresAt) : `${Math.ceil(expiresAt)}.${joinId}`;
}

/** A connection's expiry and the `add` that wrote it. `joinId` is empty if an earlier version wrote the entry. */
export interface ConnectionEntry {
  readonly expiresAt: number;
  readonly joinId: string;
}

/** Parses an entry. `expiresAt` is NaN if the text is missing. */
export function parseConnectionEntry(text: string | undefined): ConnectionEntry {
  const [time = "NaN", joinId = ""] = text?.split(".") ?? [];
  return { expiresAt: Number(time), joinId };
}

/**
 * Builds a member's item. Its JSON omits everything that other attributes hold, because a fan-out reads every byte.
 */
export function memberItem(channel: string, member: Member, joinId: string): Item {
  const { connectionId, expiresAt, ...rest } = member;
  return {
    ...memberKey(channel, connectionId),
    [NAMES.member]: { S: JSON.stringify(rest) },
    [NAMES.liveUntil]: { N: formatConnectionEntry(expiresAt, joinId) },
    ...expiry(member),
  };
}

export function subscriptionItem(channel: string, member: Member, joinId: string): Item {
  const { connectionId, userId } = member;
  return {
    ...subscriptionKey(channel, connectionId),
    [NAMES.channel]: { S: keyText(channel) },
    ...(userId === undefined ? {} : { [NAMES.userId]: { S: keyText(userId) } }),
    [NAMES.joinId]: { S: joinId },
    ...expiry(member),
  };
}

/** Longest time that an `add` may take, in ms: Lambda's maximum of 15 minutes plus 5 minutes of clock skew. */
const MAX_ADD_MS = 15 * 60_000 + 5 * 60_000;

/** Values that mark a subscription as leaving. It expires only when its unfinished `add` must have ended. */
export function createLeavingValues(now: number): Item {
  return {
    ":now": { N: String(now) },
    ":expiresAt": { N: String(Math.ceil((now + MAX_ADD_MS) / 1_000)) },
  };
}

export function isLeaving(subscription: Item): boolean {
  return subscription[NAMES.leaving] !== undefined;
}

/** Whether a leaving subscription is older than any unfinished `add`. */
export function isPastLeaving(subscription: Item, now: number): boolean {
  return isLeaving(subscription) && Number(subscription[NAMES.leaving]?.N) + MAX_ADD_MS <= now;
}

/** Returns the id of the `add` that wrote the subscription; empty if an earlier version wrote it. */
export function joinIdFromSubscription(subscription: Item): string {
  return subscription[NAMES.joinId]?.S ?? "";
}

/** @throws {StoreError} BAD_ROW */
export function parseMember(item: Item): Member {
  try {
    const rest = JSON.parse(item[NAMES.member]?.S ?? "") as Omit<Member, "connectionId" | "expiresAt">;
    const connectionId = textOfKey((item[NAMES.item]?.S ?? "").slice(MEMBER_PREFIX.length));
    return { connectionId, ...rest, expiresAt: parseConnectionEntry(item[NAMES.liveUntil]?.N).expiresAt };
  } catch (cause) {
    throw createBadRowError(item, cause);
  }
}

/** @throws {StoreError} BAD_ROW */
export function channelFromSubscription(item: Item): string {
  const channel = item[NAMES.channel]?.S;
  if (channel === undefined) throw createBadRowError(item);
  return textOfKey(channel);
}

/** Returns the subscription's user, if it has one. */
export function userIdFromSubscription(item: Item): string | undefined {
  const userId = item[NAMES.userId]?.S;
  return userId === undefined ? undefined : textOfKey(userId);
}

/** Names the item, never its content: the content belongs to the application, and the message goes to logs. */
export function createBadRowError(item: Item, cause?: unknown): StoreError {
  const key = [item[NAMES.group]?.S, item[NAMES.item]?.S];
  const message = `Item ${JSON.stringify(key)} is malformed; delete or repair it`;
  return new StoreError("BAD_ROW", message, cause === undefined ? undefined : { cause });
}

function itemKey(group: string, item: string): Item {
  return { [NAMES.group]: { S: group }, [NAMES.item]: { S: item } };
}

function expiry({ expiresAt }: Member): Item {
  return { [NAMES.expiresAt]: { N: String(Math.ceil(expiresAt / 1_000)) } };
}
