import { randomBytes } from "node:crypto";
import type { Retry } from "../../../aws/index.ts";
import type { Member, Presence } from "../../contracts/channel-members.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Json } from "../../contracts/json.ts";
import { getConditionFailure, type Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { MEMBER_ATTRIBUTES as NAMES } from "../tables.ts";
import {
  type ConnectionEntry,
  createJoinId,
  createLeavingValues,
  isLeaving,
  joinIdFromSubscription,
  memberItem,
  memberKey,
  parseConnectionEntry,
  parseMember,
  subscriptionItem,
  subscriptionKey,
  userIdFromSubscription,
  userKey,
} from "./member-items.ts";
import {
  addConnection,
  type PresenceChange,
  type PresenceRecord,
  parsePresenceRecord,
  readWriteIds,
  removeConnection,
  replaceState,
  toPresenceAttributes,
} from "./presence.ts";

/** Longest pause between two attempts while other processes write the same item, in ms. */
const CONTENTION_PAUSE_MS = 100;
const WRITE_ID_BYTES = 6;

/** The items of one connection in one channel, as they were read. */
interface MembershipItems {
  readonly userId: string | undefined;
  readonly subscription: Item | undefined;
  readonly member: Item | undefined;
  /** The user's item, and the connection's entry in it. */
  readonly user: Item | undefined;
  readonly entry: ConnectionEntry | undefined;
}

/**
 * Writes memberships. An `add` writes the connection's subscription first, then the member, then the connection's
 * entry in the user's item. A `remove` deletes the subscription last. So the subscription leads to the other two
 * items, even if a call fails halfway.
 *
 * Calls for one connection may overlap in any order, because each `add` writes its own id into the three items:
 * - A `remove` deletes the items of the `add` that it found, never those of a later one.
 * - A `remove` that finds an unfinished `add` marks the subscription, before it deletes anything, and keeps it.
 * - An `add` reads the subscription at the end. It writes everything again if it finds the mark, another id, or
 *   nothing: then it comes after the `remove`.
 */
export class Memberships {
  readonly #client: RetryingClient;
  readonly #now: () => number;

  constructor(client: RetryingClient, now: () => number) {
    this.#client = client;
    this.#now = now;
  }

  /** @returns whether the user was absent before */
  async add(retry: Retry, channel: string, member: Member): Promise<boolean> {
    const key = subscriptionKey(channel, member.connectionId);
    for (let isFirst = false; ; ) {
      const joinId = createJoinId();
      if (await this.#write(retry, channel, member, joinId)) isFirst = true;
      const subscription = await this.#item(retry, key);
      if (
        subscription !== undefined &&
        joinIdFromSubscription(subscription) === joinId &&
        !isLeaving(subscription)
      ) {
        return isFirst;
      }
      await this.#pause(retry, "Add member timed out: other calls kept changing the connection's membership");
    }
  }

  /** @returns the user's presence, if this was the user's last connection */
  async remove(retry: Retry, channel: string, connectionId: string): Promise<Presence | undefined> {
    let items = await this.#read(retry, channel, connectionId);
    while (items.subscription !== undefined && !isAddComplete(items) && !isLeaving(items.subscription)) {
      await this.#markLeaving(retry, items.subscription);
      // This read sees all writes before the mark; later writes find the mark.
      items = await this.#read(retry, channel, connectionId);
    }
    const { subscription, member } = items;
    const [presence] = await Promise.all([
      this.#leave(retry, channel, connectionId, items),
      this.#delete(retry, member, NAMES.liveUntil),
    ]);
    // An unfinished `add` may still write the other items and then fail, so the subscription must keep leading to
    // them.
    if (isAddComplete(items)) await this.#delete(retry, subscription, NAMES.joinId);
    return presence;
  }

  /** @returns `false` if the user is absent */
  async setState(retry: Retry, channel: string, userId: string, state: Json | undefined): Promise<boolean> {
    const now = this.#now();
    const key = userKey(channel, userId);
    return this.#change(retry, key, await this.#item(retry, key), (current) =>
      replaceState(current, state, now),
    );
  }

  async #write(retry: Retry, channel: string, member: Member, joinId: string): Promise<boolean> {
    const { userId } = member;
    const key = userId === undefined ? undefined : userKey(channel, userId);
    const [userItem] = await Promise.all([
      key && this.#item(retry, key),
      this.#put(retry, subscriptionItem(channel, member, joinId)),
    ]);
    await this.#put(retry, memberItem(channel, member, joinId));
    if (userId === undefined || key === undefined) return false;
    const joining = { ...member, userId, joinId };
    return this.#change(retry, key, userItem, (current) => addConnection(current, joining));
  }

  /**
   * Reads a consistent view of the items, although the reads are no snapshot. Items that were all written by one
   * `add` are consistent; otherwise two equal readings in a row are.
   */
  async #read(retry: Retry, channel: string, connectionId: string): Promise<MembershipItems> {
    let items = await this.#readOnce(retry, channel, connectionId);
    for (;;) {
      if (isConsistent(items) || isEmpty(items)) return items;
      const reread = await this.#readOnce(retry, channel, connectionId);
      if (listJoinIds(reread).join() === listJoinIds(items).join()) return reread;
      items = reread;
    }
  }

  async #readOnce(retry: Retry, channel: string, connectionId: string): Promise<MembershipItems> {
    const [subscription, member] = await Promise.all([
      this.#item(retry, subscriptionKey(channel, connectionId)),
      this.#item(retry, memberKey(channel, connectionId)),
    ]);
    const userId =
      (subscription && userIdFromSubscription(subscription)) ?? (member && parseMember(member).userId);
    const user = userId === undefined ? undefined : await this.#item(retry, userKey(channel, userId));
    const entry = user && parsePresenceRecord(user).connections.get(connectionId);
    return { userId, subscription, member, user, entry };
  }

  async #leave(
    retry: Retry,
    channel: string,
    connectionId: string,
    { userId, user, entry }: MembershipItems,
  ): Promise<Presence | undefined> {
    if (userId === undefined || entry === undefined) return undefined;
    const now = this.#now();
    return this.#change(retry, userKey(channel, userId), user, (current) =>
      removeConnection(current, connectionId, entry.joinId, now),
    );
  }

  async #markLeaving(retry: Retry, subscription: Item): Promise<void> {
    const { names, values, condition } = unchangedCondition(subscription, NAMES.joinId);
    await ignoreConditionFailure(
      this.#client.call(retry, "UpdateItem", {
        TableName: this.#client.tableName,
        Key: primaryKeyFromItem(subscription),
        UpdateExpression: "SET #leaving = :now, #expiresAt = :expiresAt",
        ConditionExpression: condition,
        ExpressionAttributeNames: { ...names, "#leaving": NAMES.leaving, "#expiresAt": NAMES.expiresAt },
        ExpressionAttributeValues: { ...values, ...createLeavingValues(this.#now()) },
      }),
    );
  }

  /** Deletes an item if the attribute that every `add` changes has not changed since the read. */
  async #delete(retry: Retry, previous: Item | undefined, attribute: string): Promise<void> {
    if (previous === undefined) return;
    const { names, values, condition } = unchangedCondition(previous, attribute);
    await ignoreConditionFailure(
      this.#client.call(retry, "DeleteItem", {
        TableName: this.#client.tableName,
        Key: primaryKeyFromItem(previous),
        ConditionExpression: condition,
        ExpressionAttributeNames: names,
        ...(values && { ExpressionAttributeValues: values }),
      }),
    );
  }

  /** Applies a change to a user's item. Retries with the current item if another process wrote it meanwhile. */
  async #change<Result>(
    retry: Retry,
    key: Item,
    initial: Item | undefined,
    change: (current: PresenceRecord | undefined) => PresenceChange<Result>,
  ): Promise<Result> {
    for (let previous = initial; ; ) {
      const { next, result } = change(previous && parsePresenceRecord(previous));
      if (next === undefined) return result;
      const writeId = randomBytes(WRITE_ID_BYTES).toString("base64url");
      const item = { ...key, ...toPresenceAttributes(next, writeId, this.#now()) };
      const existing = await this.#replace(retry, previous, item);
      if (existing === "written") return result;
      // An earlier attempt wrote it, and the response was lost.
      if (existing !== undefined && parsePresenceRecord(existing).writeIds.includes(writeId)) return result;
      await this.#pause(retry, "Presence update timed out: other calls kept changing the user's presence");
      previous = existing;
    }
  }

  /**
   * Replaces an item if it has not changed since the read. Otherwise resolves to the current item, or `undefined` if
   * there is none.
   */
  async #replace(
    retry: Retry,
    previous: Item | undefined,
    item: Item,
  ): Promise<"written" | Item | undefined> {
    try {
      await this.#client.call(retry, "PutItem", {
        TableName: this.#client.tableName,
        Item: item,
        ExpressionAttributeNames: { "#updates": NAMES.updates },
        ...(previous === undefined
          ? { ConditionExpression: "attribute_not_exists(#updates)" }
          : {
              ConditionExpression: "#updates = :updates",
              ExpressionAttributeValues: { ":updates": { S: readWriteIds(previous) } },
            }),
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      });
      return "written";
    } catch (error) {
      const existing = getConditionFailure(error);
      if (existing === undefined) throw error;
      return Object.keys(existing).length === 0 ? undefined : existing;
    }
  }

  async #pause(retry: Retry, failure: string): Promise<void> {
    if (!(await retry.pause(CONTENTION_PAUSE_MS))) throw new StoreError("STORE_UNAVAILABLE", failure);
  }

  async #item(retry: Retry, key: Item): Promise<Item | undefined> {
    const input = { TableName: this.#client.tableName, Key: key, ConsistentRead: true };
    return (await this.#client.call(retry, "GetItem", input)).Item;
  }

  async #put(retry: Retry, item: Item): Promise<void> {
    await this.#client.call(retry, "PutItem", { TableName: this.#client.tableName, Item: item });
  }
}

/**
 * Returns the ids of the `add`s that wrote the subscription, the member, and the connection's entry in the user's
 * item.
 */
function listJoinIds({ subscription, member, entry }: MembershipItems): readonly (string | undefined)[] {
  const memberId = member && parseConnectionEntry(member[NAMES.liveUntil]?.N).joinId;
  return [subscription && joinIdFromSubscription(subscription), memberId, entry?.joinId];
}

function isEmpty({ subscription, member }: MembershipItems): boolean {
  return subscription === undefined && member === undefined;
}

/** Whether a single `add` wrote all items. */
function isConsistent(items: MembershipItems): boolean {
  const [subscriptionId, memberId, entryId] = listJoinIds(items);
  if (subscriptionId === undefined || memberId !== subscriptionId) return false;
  return items.userId === undefined || entryId === subscriptionId;
}

/** Whether the `add` has made its last write, so that none can follow. The member may already be deleted. */
function isAddComplete(items: MembershipItems): boolean {
  const [subscriptionId, memberId, entryId] = listJoinIds(items);
  return (
    isConsistent(items) ||
    (subscriptionId !== undefined && memberId === undefined && entryId === subscriptionId)
  );
}

/** Returns the condition that an item exists and its attribute has not changed. */
function unchangedCondition(previous: Item, attribute: string) {
  const value = previous[attribute];
  if (value !== undefined) {
    return { condition: "#it = :it", names: { "#it": attribute }, values: { ":it": value } };
  }
  const condition = "attribute_exists(#item) AND attribute_not_exists(#it)";
  return { condition, names: { "#it": attribute, "#item": NAMES.item }, values: undefined };
}

async function ignoreConditionFailure(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (getConditionFailure(error) === undefined) throw error;
  }
}

function primaryKeyFromItem(item: Item): Item {
  return { [NAMES.group]: item[NAMES.group]!, [NAMES.item]: item[NAMES.item]! };
}
