import type { QueryInput, QueryOutput } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import type { ChannelMembers, Member, MemberPage, Presence } from "../../contracts/channel-members.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Json } from "../../contracts/json.ts";
import type { TimeBudget } from "../../contracts/time-budget.ts";
import type { Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { shardOf } from "../client/shards.ts";
import { MEMBER_ATTRIBUTES as NAMES } from "../tables.ts";
import {
  channelOf,
  connectionGroup,
  groupOf,
  hasLeft,
  MEMBER_PREFIX,
  memberOf,
  SHARDS,
  USER_PREFIX,
  userKey,
} from "./member-items.ts";
import { Memberships } from "./memberships.ts";
import { isThere, parsePresenceRecord, presenceOf } from "./presence.ts";

/** Members and presence, in DynamoDB: `Memberships` writes them, here they are read. */
export class DynamoDBChannelMembers implements ChannelMembers {
  readonly #client: RetryingClient;
  readonly #memberships: Memberships;
  readonly #now: () => number;
  readonly #pageSize: number;

  constructor(client: RetryingClient, now: () => number, pageSize: number) {
    this.#client = client;
    this.#memberships = new Memberships(client, now);
    this.#now = now;
    this.#pageSize = pageSize;
  }

  async add(channel: string, member: Member, budget?: TimeBudget): Promise<boolean> {
    return this.#memberships.add(this.#client.startRetry(budget), channel, member);
  }

  async remove(channel: string, connectionId: string, budget?: TimeBudget): Promise<Presence | undefined> {
    return this.#memberships.remove(this.#client.startRetry(budget), channel, connectionId);
  }

  async setState(
    channel: string,
    userId: string,
    state: Json | undefined,
    budget?: TimeBudget,
  ): Promise<boolean> {
    return this.#memberships.setState(this.#client.startRetry(budget), channel, userId, state);
  }

  async *listChannels(connectionId: string, budget?: TimeBudget): AsyncGenerator<string> {
    const group = connectionGroup(connectionId);
    let start: Item | undefined;
    do {
      const page = await this.#query(this.#client.startRetry(budget), group, { start });
      const now = this.#now();
      yield* (page.Items ?? []).filter((item) => !hasLeft(item, now)).map(channelOf);
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
  }

  async *listMembers(channel: string, now: number, cursor?: string): AsyncGenerator<MemberPage> {
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

  async *listPresence(channel: string, now: number, after?: string): AsyncGenerator<Presence> {
    const from =
      after === undefined ? { shard: 0 } : { shard: shardOf(after, SHARDS), start: userKey(channel, after) };
    for await (const { items } of this.#shards(channel, from, {
      prefix: USER_PREFIX,
      limit: this.#pageSize,
    })) {
      const there = items.map(parsePresenceRecord).filter((attendance) => isThere(attendance, now));
      yield* there.map(presenceOf);
    }
  }

  /** A channel's items, shard by shard and page by page. The first pages of all shards are asked for at once. */
  async *#shards(channel: string, from: Place, query: GroupQuery): AsyncGenerator<ShardPage> {
    const shards = Array.from({ length: SHARDS - from.shard }, (_, index) => from.shard + index);
    const firsts = shards.map((shard) => {
      const retry = this.#client.startRetry();
      const start = shard === from.shard ? from.start : undefined;
      const page = this.#query(retry, groupOf(channel, shard), { ...query, start });
      // Whether it fails is told when it is its turn.
      page.catch(() => {});
      return { shard, page, retry };
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
          page = await this.#query(this.#client.startRetry(), groupOf(channel, shard), { ...query, start });
        }
      }
    } finally {
      for (const { retry } of firsts) retry.cancel();
    }
  }

  #query(
    retry: Retry,
    group: string,
    { prefix, limit, start, countAfter }: GroupQuery & { readonly start: QueryInput["ExclusiveStartKey"] },
  ): Promise<QueryOutput> {
    const counting = {
      Select: "COUNT" as const,
      // The fraction of a member's end is not time: it is the id of the `add`.
      FilterExpression: "#liveUntil >= :end",
    };
    return this.#client.call(retry, "Query", {
      TableName: this.#client.tableName,
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
        ...(countAfter === undefined ? {} : { ":end": { N: String(Math.floor(countAfter) + 1) } }),
      },
      ConsistentRead: true,
      Limit: limit,
      ExclusiveStartKey: start,
    });
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
