import { randomBytes } from "node:crypto";
import type { Retry } from "../../../aws/index.ts";
import type { Member, Presence } from "../../contracts/channel-members.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Json } from "../../contracts/json.ts";
import { getConditionFailure, type Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { MEMBER_ATTRIBUTES as NAMES } from "../tables.ts";
import {
  type End,
  endOf,
  isLeaving,
  joinIdOf,
  leavingValues,
  memberItem,
  memberKey,
  memberOf,
  newJoinId,
  subscriberOf,
  subscriptionItem,
  subscriptionKey,
  userKey,
} from "./member-items.ts";
import {
  type Change,
  joined,
  left,
  type PresenceRecord,
  parsePresenceRecord,
  readWriteIds,
  shown,
  toPresenceAttributes,
} from "./presence.ts";

/** Processes that write one item at once wait for each other no longer than this at a time, in ms. */
const CONTENTION_PAUSE_MS = 100;
const MARK_BYTES = 6;

/** The items of one connection in one channel, as they were read. */
interface Seen {
  readonly userId: string | undefined;
  readonly subscription: Item | undefined;
  readonly member: Item | undefined;
  /** The user's item, and the connection's end in it. */
  readonly user: Item | undefined;
  readonly end: End | undefined;
}

/**
 * Writes a membership: the connection's subscription first, then the member, then the connection's entry in the user's
 * item. A `remove` deletes the subscription last. So it leads to the other two however a call breaks off.
 *
 * Calls for one connection may overlap in any order, because each `add` writes its own id into the three items:
 * - A `remove` deletes the items of the `add` that it found, never those of a later one.
 * - A `remove` that finds an unfinished `add` marks the subscription, before it deletes anything, and keeps it.
 * - An `add` reads the subscription at the end. It writes everything again if it finds the mark, another id, or nothing:
 *   then it comes after the `remove`.
 */
export class Memberships {
  readonly #client: RetryingClient;
  readonly #now: () => number;

  constructor(client: RetryingClient, now: () => number) {
    this.#client = client;
    this.#now = now;
  }

  /** @returns whether the user was not there before */
  async add(retry: Retry, channel: string, member: Member): Promise<boolean> {
    const key = subscriptionKey(channel, member.connectionId);
    for (let isFirst = false; ; ) {
      const joinId = newJoinId();
      if (await this.#write(retry, channel, member, joinId)) isFirst = true;
      const subscription = await this.#item(retry, key);
      if (subscription !== undefined && joinIdOf(subscription) === joinId && !isLeaving(subscription)) {
        return isFirst;
      }
      await this.#pause(retry, "A connection kept coming and going");
    }
  }

  /** @returns the user, if it was their last connection */
  async remove(retry: Retry, channel: string, connectionId: string): Promise<Presence | undefined> {
    let seen = await this.#read(retry, channel, connectionId);
    while (seen.subscription !== undefined && !isWritten(seen) && !isLeaving(seen.subscription)) {
      await this.#markLeaving(retry, seen.subscription);
      // Removes the writes so far; later writes find the mark.
      seen = await this.#read(retry, channel, connectionId);
    }
    const { subscription, member } = seen;
    const [presence] = await Promise.all([
      this.#leave(retry, channel, connectionId, seen),
      this.#delete(retry, member, NAMES.liveUntil),
    ]);
    // An add that is under way still writes the other items, and may break off: the subscription must lead to them.
    if (isWritten(seen)) await this.#delete(retry, subscription, NAMES.joinId);
    return presence;
  }

  /** @returns `false`: the user is not there */
  async setState(retry: Retry, channel: string, userId: string, state: Json | undefined): Promise<boolean> {
    const now = this.#now();
    const key = userKey(channel, userId);
    return this.#change(retry, key, await this.#item(retry, key), (current) => shown(current, state, now));
  }

  async #write(retry: Retry, channel: string, member: Member, joinId: string): Promise<boolean> {
    const { userId } = member;
    const key = userId === undefined ? undefined : userKey(channel, userId);
    const [standing] = await Promise.all([
      key && this.#item(retry, key),
      this.#put(retry, subscriptionItem(channel, member, joinId)),
    ]);
    await this.#put(retry, memberItem(channel, member, joinId));
    if (userId === undefined || key === undefined) return false;
    const joining = { ...member, userId, joinId };
    return this.#change(retry, key, standing, (current) => joined(current, joining));
  }

  /**
   * The items as they were at one time. The reads are no snapshot: but where all items are of one `add` none of them is
   * newer than another, and otherwise two readings that agree are one.
   */
  async #read(retry: Retry, channel: string, connectionId: string): Promise<Seen> {
    let seen = await this.#readOnce(retry, channel, connectionId);
    for (;;) {
      if (isWhole(seen) || isNothing(seen)) return seen;
      const again = await this.#readOnce(retry, channel, connectionId);
      if (joinIdsOf(again).join() === joinIdsOf(seen).join()) return again;
      seen = again;
    }
  }

  async #readOnce(retry: Retry, channel: string, connectionId: string): Promise<Seen> {
    const [subscription, member] = await Promise.all([
      this.#item(retry, subscriptionKey(channel, connectionId)),
      this.#item(retry, memberKey(channel, connectionId)),
    ]);
    const userId = (subscription && subscriberOf(subscription)) ?? (member && memberOf(member).userId);
    const user = userId === undefined ? undefined : await this.#item(retry, userKey(channel, userId));
    const end = user && parsePresenceRecord(user).connections.get(connectionId);
    return { userId, subscription, member, user, end };
  }

  async #leave(
    retry: Retry,
    channel: string,
    connectionId: string,
    { userId, user, end }: Seen,
  ): Promise<Presence | undefined> {
    if (userId === undefined || end === undefined) return undefined;
    const now = this.#now();
    return this.#change(retry, userKey(channel, userId), user, (current) =>
      left(current, connectionId, end.joinId, now),
    );
  }

  async #markLeaving(retry: Retry, subscription: Item): Promise<void> {
    const { names, values, condition } = unchanged(subscription, NAMES.joinId);
    await unlessChanged(
      this.#client.call(retry, "UpdateItem", {
        TableName: this.#client.tableName,
        Key: keyOf(subscription),
        UpdateExpression: "SET #leaving = :now, #expiresAt = :expiresAt",
        ConditionExpression: condition,
        ExpressionAttributeNames: { ...names, "#leaving": NAMES.leaving, "#expiresAt": NAMES.expiresAt },
        ExpressionAttributeValues: { ...values, ...leavingValues(this.#now()) },
      }),
    );
  }

  /** Deletes an item, if the attribute that each `add` changes is what it was. */
  async #delete(retry: Retry, seen: Item | undefined, attribute: string): Promise<void> {
    if (seen === undefined) return;
    const { names, values, condition } = unchanged(seen, attribute);
    await unlessChanged(
      this.#client.call(retry, "DeleteItem", {
        TableName: this.#client.tableName,
        Key: keyOf(seen),
        ConditionExpression: condition,
        ExpressionAttributeNames: names,
        ...(values && { ExpressionAttributeValues: values }),
      }),
    );
  }

  /** Reads, changes, and writes if nobody else has written meanwhile; else once more. */
  async #change<Told>(
    retry: Retry,
    key: Item,
    standing: Item | undefined,
    change: (current: PresenceRecord | undefined) => Change<Told>,
  ): Promise<Told> {
    for (let seen = standing; ; ) {
      const { next, told } = change(seen && parsePresenceRecord(seen));
      if (next === undefined) return told;
      const mark = randomBytes(MARK_BYTES).toString("base64url");
      const item = { ...key, ...toPresenceAttributes(next, mark, this.#now()) };
      const found = await this.#replace(retry, seen, item);
      if (found === "written") return told;
      // Written by an attempt whose answer was lost.
      if (found !== undefined && parsePresenceRecord(found).writeIds.includes(mark)) return told;
      await this.#pause(retry, "A user's presence kept changing while it was updated");
      seen = found;
    }
  }

  /** Otherwise resolves to what stands there instead, if anything does. */
  async #replace(retry: Retry, seen: Item | undefined, item: Item): Promise<"written" | Item | undefined> {
    try {
      await this.#client.call(retry, "PutItem", {
        TableName: this.#client.tableName,
        Item: item,
        ExpressionAttributeNames: { "#updates": NAMES.updates },
        ...(seen === undefined
          ? { ConditionExpression: "attribute_not_exists(#updates)" }
          : {
              ConditionExpression: "#updates = :updates",
              ExpressionAttributeValues: { ":updates": { S: readWriteIds(seen) } },
            }),
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      });
      return "written";
    } catch (error) {
      const standing = getConditionFailure(error);
      if (standing === undefined) throw error;
      return Object.keys(standing).length === 0 ? undefined : standing;
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

/** Which `add` has written the subscription, the member, and the connection's end in the user's item. */
function joinIdsOf({ subscription, member, end }: Seen): readonly (string | undefined)[] {
  const memberId = member && endOf(member[NAMES.liveUntil]?.N).joinId;
  return [subscription && joinIdOf(subscription), memberId, end?.joinId];
}

function isNothing({ subscription, member }: Seen): boolean {
  return subscription === undefined && member === undefined;
}

/** Whether one `add` has written all of it. */
function isWhole(seen: Seen): boolean {
  const [subscriptionId, memberId, endId] = joinIdsOf(seen);
  if (subscriptionId === undefined || memberId !== subscriptionId) return false;
  return seen.userId === undefined || endId === subscriptionId;
}

/** Whether the last write of the `add` is there, so that none is still to come. The member may be deleted already. */
function isWritten(seen: Seen): boolean {
  const [subscriptionId, memberId, endId] = joinIdsOf(seen);
  return (
    isWhole(seen) || (subscriptionId !== undefined && memberId === undefined && endId === subscriptionId)
  );
}

/** The condition that an item is there and an attribute is as it was read. */
function unchanged(seen: Item, attribute: string) {
  const value = seen[attribute];
  if (value !== undefined) {
    return { condition: "#it = :it", names: { "#it": attribute }, values: { ":it": value } };
  }
  const condition = "attribute_exists(#item) AND attribute_not_exists(#it)";
  return { condition, names: { "#it": attribute, "#item": NAMES.item }, values: undefined };
}

async function unlessChanged(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (getConditionFailure(error) === undefined) throw error;
  }
}

function keyOf(item: Item): Item {
  return { [NAMES.group]: item[NAMES.group]!, [NAMES.item]: item[NAMES.item]! };
}
