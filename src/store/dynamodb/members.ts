import { randomBytes } from "node:crypto";
import type { QueryInput, QueryOutput } from "@aws-sdk/client-dynamodb";
import type { Attempts } from "../aws/index.ts";
import type { ChannelMembers, Member, MemberPage, Presence } from "../channels.ts";
import { StoreError } from "../errors.ts";
import type { Json, TimeBudget } from "../ports.ts";
import type { Caller } from "./caller.ts";
import { conditionFailure, type Item } from "./failures.ts";
import {
  channelOf,
  connectionGroup,
  groupOf,
  MEMBER_PREFIX,
  memberItem,
  memberKey,
  memberOf,
  SHARDS,
  subscriberOf,
  subscriptionItem,
  subscriptionKey,
  USER_PREFIX,
  userKey,
} from "./member-items.ts";
import {
  type Attendance,
  attendanceAttributes,
  attendanceOf,
  type Change,
  isThere,
  joined,
  left,
  marksOf,
  presenceOf,
  shown,
} from "./presence.ts";
import { shardOf } from "./shards.ts";
import { MEMBER_ATTRIBUTES as NAMES } from "./tables.ts";

/** The tabs of one user wait for each other no longer than this at a time, in ms. */
const CONTENTION_PAUSE_MS = 100;
const MARK_BYTES = 6;

/**
 * Who is where, in DynamoDB. What a call writes comes in an order: what leads to a membership stands before it, and as
 * long. So one that is broken off leaves nothing that a `remove`, or the connection's end, does not find.
 */
export class DynamoDBChannelMembers implements ChannelMembers {
  readonly #caller: Caller;
  readonly #now: () => number;
  readonly #pageSize: number;

  constructor(caller: Caller, now: () => number, pageSize: number) {
    this.#caller = caller;
    this.#now = now;
    this.#pageSize = pageSize;
  }

  async add(channel: string, member: Member, budget?: TimeBudget): Promise<boolean> {
    const attempts = this.#caller.begin(budget);
    const { userId } = member;
    const key = userId === undefined ? undefined : userKey(channel, userId);
    const [standing] = await Promise.all([
      key && this.#item(attempts, key),
      this.#put(attempts, subscriptionItem(channel, member)),
    ]);
    await this.#put(attempts, memberItem(channel, member));
    if (userId === undefined || key === undefined) return false;
    const joining = { ...member, userId };
    return this.#change(attempts, key, standing, (current) => joined(current, joining));
  }

  async remove(channel: string, connectionId: string, budget?: TimeBudget): Promise<Presence | undefined> {
    const attempts = this.#caller.begin(budget);
    const keys = {
      subscription: subscriptionKey(channel, connectionId),
      member: memberKey(channel, connectionId),
    };
    const [subscription, member] = await Promise.all([
      this.#item(attempts, keys.subscription),
      this.#item(attempts, keys.member),
    ]);
    if (subscription === undefined && member === undefined) return undefined;
    const userId = (subscription && subscriberOf(subscription)) ?? (member && memberOf(member).userId);
    const now = this.#now();
    const leave = async (key: Item) =>
      this.#change(attempts, key, await this.#item(attempts, key), (current) =>
        left(current, connectionId, now),
      );
    const [presence] = await Promise.all([
      userId === undefined ? undefined : leave(userKey(channel, userId)),
      this.#delete(attempts, keys.member),
    ]);
    await this.#delete(attempts, keys.subscription);
    return presence;
  }

  async *channelsOf(connectionId: string, budget?: TimeBudget): AsyncGenerator<string> {
    const group = connectionGroup(connectionId);
    let start: Item | undefined;
    do {
      const page = await this.#query(this.#caller.begin(budget), group, { start });
      yield* (page.Items ?? []).map(channelOf);
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
  }

  async *pages(channel: string, now: number, cursor?: string): AsyncGenerator<MemberPage> {
    const from = cursor === undefined ? { shard: 0 } : placeOf(cursor, channel);
    let members: Member[] = [];
    let behind: Place | undefined;
    for await (const { items, next } of this.#shards(channel, from, {
      prefix: MEMBER_PREFIX,
      limit: this.#pageSize,
    })) {
      const live = items.map(memberOf).filter(({ expiresAt }) => expiresAt > now);
      if (live.length === 0) continue;
      if (behind !== undefined) {
        // One page late, since whether it is the last one shows only by another member.
        yield { members, cursor: cursorOf(behind) };
        members = [];
      }
      members.push(...live);
      behind = members.length < this.#pageSize / 2 ? undefined : next;
    }
    if (members.length > 0) yield { members };
  }

  async count(channel: string, now: number): Promise<number> {
    let live = 0;
    const query = { prefix: MEMBER_PREFIX, countAfter: now };
    for await (const { count } of this.#shards(channel, { shard: 0 }, query)) live += count;
    return live;
  }

  async *present(channel: string, now: number, after?: string): AsyncGenerator<Presence> {
    const from =
      after === undefined ? { shard: 0 } : { shard: shardOf(after, SHARDS), start: userKey(channel, after) };
    for await (const { items } of this.#shards(channel, from, {
      prefix: USER_PREFIX,
      limit: this.#pageSize,
    })) {
      const there = items.map(attendanceOf).filter((attendance) => isThere(attendance, now));
      yield* there.map(presenceOf);
    }
  }

  async setState(
    channel: string,
    userId: string,
    state: Json | undefined,
    budget?: TimeBudget,
  ): Promise<boolean> {
    const now = this.#now();
    const attempts = this.#caller.begin(budget);
    const key = userKey(channel, userId);
    return this.#change(attempts, key, await this.#item(attempts, key), (current) =>
      shown(current, state, now),
    );
  }

  /** Reads, changes, and writes if nobody else has written meanwhile; else once more. */
  async #change<Told>(
    attempts: Attempts,
    key: Item,
    standing: Item | undefined,
    change: (current: Attendance | undefined) => Change<Told>,
  ): Promise<Told> {
    for (let seen = standing; ; ) {
      const { next, told } = change(seen && attendanceOf(seen));
      if (next === undefined) return told;
      const mark = randomBytes(MARK_BYTES).toString("base64url");
      const item = { ...key, ...attendanceAttributes(next, mark, this.#now()) };
      const found = await this.#replace(attempts, seen, item);
      if (found === "written") return told;
      // Written by an attempt whose answer was lost.
      if (found !== undefined && attendanceOf(found).marks.includes(mark)) return told;
      if (!(await attempts.pause(CONTENTION_PAUSE_MS))) {
        throw new StoreError("STORE_UNAVAILABLE", "A user's presence kept changing while it was updated");
      }
      seen = found;
    }
  }

  /** Otherwise resolves to what stands there instead, if anything does. */
  async #replace(
    attempts: Attempts,
    seen: Item | undefined,
    item: Item,
  ): Promise<"written" | Item | undefined> {
    try {
      await this.#caller.call(attempts, "PutItem", {
        TableName: this.#caller.tableName,
        Item: item,
        ExpressionAttributeNames: { "#updates": NAMES.updates },
        ...(seen === undefined
          ? { ConditionExpression: "attribute_not_exists(#updates)" }
          : {
              ConditionExpression: "#updates = :updates",
              ExpressionAttributeValues: { ":updates": { S: marksOf(seen) } },
            }),
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      });
      return "written";
    } catch (error) {
      const standing = conditionFailure(error);
      if (standing === undefined) throw error;
      return Object.keys(standing).length === 0 ? undefined : standing;
    }
  }

  /** A channel's items, shard by shard and page by page. The first pages of all shards are asked for at once. */
  async *#shards(channel: string, from: Place, query: GroupQuery): AsyncGenerator<ShardPage> {
    const shards = Array.from({ length: SHARDS - from.shard }, (_, index) => from.shard + index);
    const firsts = shards.map((shard) => {
      const attempts = this.#caller.begin();
      const start = shard === from.shard ? from.start : undefined;
      const page = this.#query(attempts, groupOf(channel, shard), { ...query, start });
      // Whether it fails is told when it is its turn.
      page.catch(() => {});
      return { shard, page, attempts };
    });
    try {
      for (const { shard, page: first } of firsts) {
        let page = await first;
        for (;;) {
          const start = page.LastEvaluatedKey;
          const following = shard + 1 < SHARDS ? { shard: shard + 1 } : undefined;
          const next = start === undefined ? following : { shard, start };
          yield { items: page.Items ?? [], count: page.Count ?? 0, next };
          if (start === undefined) break;
          // Each page has time of its own: nobody knows how long its members are looked at.
          page = await this.#query(this.#caller.begin(), groupOf(channel, shard), { ...query, start });
        }
      }
    } finally {
      for (const { attempts } of firsts) attempts.cancel();
    }
  }

  #query(
    attempts: Attempts,
    group: string,
    { prefix, limit, start, countAfter }: GroupQuery & { readonly start: QueryInput["ExclusiveStartKey"] },
  ): Promise<QueryOutput> {
    const counting = {
      Select: "COUNT" as const,
      FilterExpression: "#liveUntil > :now",
    };
    return this.#caller.call(attempts, "Query", {
      TableName: this.#caller.tableName,
      KeyConditionExpression:
        prefix === undefined ? "#group = :group" : "#group = :group AND begins_with(#item, :prefix)",
      ...(countAfter === undefined ? {} : counting),
      ExpressionAttributeNames: {
        "#group": NAMES.group,
        ...(prefix === undefined ? {} : { "#item": NAMES.item }),
        ...(countAfter === undefined ? {} : { "#liveUntil": NAMES.liveUntil }),
      },
      ExpressionAttributeValues: {
        ":group": { S: group },
        ...(prefix === undefined ? {} : { ":prefix": { S: prefix } }),
        ...(countAfter === undefined ? {} : { ":now": { N: String(countAfter) } }),
      },
      ConsistentRead: true,
      Limit: limit,
      ExclusiveStartKey: start,
    });
  }

  async #item(attempts: Attempts, key: Item): Promise<Item | undefined> {
    const input = { TableName: this.#caller.tableName, Key: key, ConsistentRead: true };
    return (await this.#caller.call(attempts, "GetItem", input)).Item;
  }

  async #put(attempts: Attempts, item: Item): Promise<void> {
    await this.#caller.call(attempts, "PutItem", { TableName: this.#caller.tableName, Item: item });
  }

  async #delete(attempts: Attempts, key: Item): Promise<void> {
    await this.#caller.call(attempts, "DeleteItem", { TableName: this.#caller.tableName, Key: key });
  }
}

/** Where the walk over a channel's shards goes on. */
interface Place {
  readonly shard: number;
  /** The key that it goes on behind. */
  readonly start?: Item;
}

interface ShardPage {
  readonly items: readonly Item[];
  readonly count: number;
  /** Absent: it was the last one. */
  readonly next: Place | undefined;
}

interface GroupQuery {
  readonly prefix?: string;
  /** Items of a page. Default: as many as are in 1 MB. */
  readonly limit?: number;
  /** ms since the epoch: only counts what lives longer. */
  readonly countAfter?: number;
}

function cursorOf({ shard, start }: Place): string {
  const item = start?.[NAMES.item]?.S;
  return JSON.stringify(item === undefined ? [shard] : [shard, item]);
}

/** @throws {StoreError} STORE_REFUSED */
function placeOf(cursor: string, channel: string): Place {
  try {
    const [shard, item] = JSON.parse(cursor) as [number, string?];
    if (!Number.isInteger(shard) || shard < 0 || shard >= SHARDS) throw new TypeError("No such shard");
    if (item === undefined) return { shard };
    return { shard, start: { [NAMES.group]: { S: groupOf(channel, shard) }, [NAMES.item]: { S: item } } };
  } catch (cause) {
    throw new StoreError("STORE_REFUSED", "The cursor is not one of this store's", { cause });
  }
}
