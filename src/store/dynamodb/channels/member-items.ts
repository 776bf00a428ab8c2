import { createHash, randomInt } from "node:crypto";
import type { Member } from "../../contracts/channel-members.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Item } from "../client/errors.ts";
import { boundedKey, keyText, MAX_SORT_KEY_BYTES, textOfKey } from "../client/key-text.ts";
import { shardOf } from "../client/shards.ts";
import { MEMBER_ATTRIBUTES as NAMES } from "../tables.ts";

/** A partition is read 3,000 units a second: all of them 24,000. Each costs whoever reads a channel a unit at least. */
export const SHARDS = 8;

export const MEMBER_PREFIX = "member";
export const USER_PREFIX = "user";

/** A shard of a channel: members by their connection's id, and users by their own. */
export function groupOf(channel: string, shard: number): string {
  return `${shard}${keyText(channel)}`;
}

export function connectionGroup(connectionId: string): string {
  return `connection${keyText(connectionId)}`;
}

export function memberKey(channel: string, connectionId: string): Item {
  const group = groupOf(channel, shardOf(connectionId, SHARDS));
  return itemKey(group, MEMBER_PREFIX + keyText(connectionId));
}

export function userKey(channel: string, userId: string): Item {
  const user = boundedKey(keyText(userId), MAX_SORT_KEY_BYTES - USER_PREFIX.length);
  return itemKey(groupOf(channel, shardOf(userId, SHARDS)), USER_PREFIX + user);
}

/** Of the item that tells of one of a connection's channels. That in a hash: a sort key has 1,024 bytes at most. */
export function subscriptionKey(channel: string, connectionId: string): Item {
  return itemKey(connectionGroup(connectionId), createHash("sha256").update(channel).digest("base64url"));
}

/** Seven digits that tell one `add` from another, the last one not 0: they become the fraction of a number. */
export function newJoinId(): string {
  return String(10 * randomInt(100_000, 1_000_000) + randomInt(1, 10));
}

/**
 * When a connection ends, with the `add` that has written it as the fraction. As an attribute the id would make a fan-out
 * read 8 bytes more for each member, and earlier versions could not read it in a user's item.
 */
export function endText(expiresAt: number, joinId: string): string {
  return joinId === "" ? String(expiresAt) : `${Math.ceil(expiresAt)}.${joinId}`;
}

/** `joinId` is empty where an earlier version has written the time. */
export interface End {
  readonly expiresAt: number;
  readonly joinId: string;
}

/** NaN where there is no time. */
export function endOf(text: string | undefined): End {
  const [time = "NaN", joinId = ""] = text?.split(".") ?? [];
  return { expiresAt: Number(time), joinId };
}

/** Other facts of the item are not repeated in the JSON: a fan-out reads every byte. */
export function memberItem(channel: string, member: Member, joinId: string): Item {
  const { connectionId, expiresAt, ...rest } = member;
  return {
    ...memberKey(channel, connectionId),
    [NAMES.member]: { S: JSON.stringify(rest) },
    [NAMES.liveUntil]: { N: endText(expiresAt, joinId) },
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

/** How long an `add` may still be under way: as long as a Lambda runs, and what two machines' clocks differ by. */
const ADD_MS = 15 * 60_000 + 5 * 60_000;

/** The values of a subscription that waits for its `add`: it is not removed before that can be over. */
export function leavingValues(now: number): Item {
  return {
    ":now": { N: String(now) },
    ":expiresAt": { N: String(Math.ceil((now + ADD_MS) / 1_000)) },
  };
}

export function isLeaving(subscription: Item): boolean {
  return subscription[NAMES.leaving] !== undefined;
}

/** Whether a subscription has waited long enough for its `add`. */
export function hasLeft(subscription: Item, now: number): boolean {
  return isLeaving(subscription) && Number(subscription[NAMES.leaving]?.N) + ADD_MS <= now;
}

/** Empty where an earlier version has written the item. */
export function joinIdOf(subscription: Item): string {
  return subscription[NAMES.joinId]?.S ?? "";
}

/** @throws {StoreError} BAD_ROW */
export function memberOf(item: Item): Member {
  try {
    const rest = JSON.parse(item[NAMES.member]?.S ?? "") as Omit<Member, "connectionId" | "expiresAt">;
    const connectionId = textOfKey((item[NAMES.item]?.S ?? "").slice(MEMBER_PREFIX.length));
    return { connectionId, ...rest, expiresAt: endOf(item[NAMES.liveUntil]?.N).expiresAt };
  } catch (cause) {
    throw bad(item, cause);
  }
}

/** @throws {StoreError} BAD_ROW */
export function channelOf(item: Item): string {
  const channel = item[NAMES.channel]?.S;
  if (channel === undefined) throw bad(item);
  return textOfKey(channel);
}

/** Whose the subscription is. */
export function subscriberOf(item: Item): string | undefined {
  const userId = item[NAMES.userId]?.S;
  return userId === undefined ? undefined : textOfKey(userId);
}

/** Names the row, never what it holds: that is the application's, and this goes to a log. */
export function bad(item: Item, cause?: unknown): StoreError {
  const key = [item[NAMES.group]?.S, item[NAMES.item]?.S];
  const message = `Item ${JSON.stringify(key)} is malformed`;
  return new StoreError("BAD_ROW", message, cause === undefined ? undefined : { cause });
}

function itemKey(group: string, item: string): Item {
  return { [NAMES.group]: { S: group }, [NAMES.item]: { S: item } };
}

function expiry({ expiresAt }: Member): Item {
  return { [NAMES.expiresAt]: { N: String(Math.ceil(expiresAt / 1_000)) } };
}
