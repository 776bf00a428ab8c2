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
  channelFromSubscription,
  connectionGroup,
  countShards,
  isPastLeaving,
  MEMBER_PREFIX,
  parseMember,
  shardGroup,
  USER_PREFIX,
  userKey,
} from "./member-items.ts";
import { Memberships } from "./memberships.ts";
import { isPresent, parsePresenceRecord, toPresence } from "./presence.ts";

/** Channel members and presence in DynamoDB. `Memberships` writes them; this class reads them. */
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
      yield* (page.Items ?? []).filter((item) => !isPastLeaving(item, now)).map(channelFromSubscription);
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
  }

  async *listMembers(channel: string, now: number, cursor?: string): AsyncGenerator<MemberPage> {
    const from = cursor === undefined ? { shard: 0 } : parseCursor(cursor, channel);
    let members: Member[] = [];
    let nextPosition: ShardPosition | undefined;
    for await (const { items, next } of this.#shards(channel, from, {
      prefix: MEMBER_PREFIX,
      limit: this.#pageSize,
    })) {
      const live = items.map(parseMember).filter(({ expiresAt }) => expiresAt > now);
      if (live.length === 0) continue;
      if (nextPosition !== undefined) {
        // Each page waits for the next live member, because only then it is known that it is not the last page.
        yield { members, cursor: formatCursor(nextPosition) };
        members = [];
      }
      members.push(...live);
      nextPosition = members.length < this.#pageSize / 2 ? undefined : next;
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
      after === undefined
        ? { shard: 0 }
        : { shard: shardOf(after, countShards(channel)), start: userKey(channel, after) };
    for await (const { items } of this.#shards(channel, from, {
      prefix: USER_PREFIX,
      limit: this.#pageSize,
    })) {
      const records = items.map(parsePresenceRecord).filter((record) => isPresent(record, now));
      yield* records.map(toPresence);
    }
  }

  /**
   * Yields a channel's items, shard by shard and page by page. The first pages of all shards are read in parallel.
   */
  async *#shards(channel: string, from: ShardPosition, query: GroupQuery): AsyncGenerator<ShardPage> {
    const end = countShards(channel);
    const shards = Array.from({ length: end - from.shard }, (_, index) => from.shard + index);
    const firstPages = shards.map((shard) => {
      const retry = this.#client.startRetry();
      const start = shard === from.shard ? from.start : undefined;
      const page = this.#query(retry, shardGroup(channel, shard), { ...query, start });
      // A failure is thrown when the shard is read below.
      page.catch(() => {});
      return { shard, page, retry };
    });
    try {
      for (const { shard, page: first } of firstPages) {
        let page = await first;
        for (;;) {
          const start = page.LastEvaluatedKey;
          const nextShard = shard + 1 < end ? { shard: shard + 1 } : undefined;
          const next = start === undefined ? nextShard : { shard, start };
          yield { items: page.Items ?? [], count: page.Count ?? 0, next };
          if (start === undefined) break;
          // Each page has its own deadline, because the caller decides how long it processes a page.
          page = await this.#query(this.#client.startRetry(), shardGroup(channel, shard), {
            ...query,
            start,
          });
        }
      }
    } finally {
      for (const { retry } of firstPages) retry.cancel();
    }
  }

  #query(
    retry: Retry,
    group: string,
    { prefix, limit, start, countAfter }: GroupQuery & { readonly start: QueryInput["ExclusiveStartKey"] },
  ): Promise<QueryOutput> {
    const countQuery = {
      Select: "COUNT" as const,
      // The fraction of a member's expiry is the id of its `add`, not time.
      FilterExpression: "#liveUntil >= :end",
    };
    return this.#client.call(retry, "Query", {
      TableName: this.#client.tableName,
      KeyConditionExpression:
        prefix === undefined ? "#group = :group" : "#group = :group AND begins_with(#item, :prefix)",
      ...(countAfter === undefined ? {} : countQuery),
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

/** A position in the pages of a channel's shards. */
interface ShardPosition {
  readonly shard: number;
  /** The last key that was read. Absent: the beginning of the shard. */
  readonly start?: Item;
}

interface ShardPage {
  readonly items: readonly Item[];
  readonly count: number;
  /** Absent after the last page. */
  readonly next: ShardPosition | undefined;
}

interface GroupQuery {
  readonly prefix?: string;
  /** Maximum items per page. Default: DynamoDB's limit of 1 MB. */
  readonly limit?: number;
  /** Counts only items that expire after this time, in ms since the epoch. */
  readonly countAfter?: number;
}

function formatCursor({ shard, start }: ShardPosition): string {
  const item = start?.[NAMES.item]?.S;
  return JSON.stringify(item === undefined ? [shard] : [shard, item]);
}

/** @throws {StoreError} STORE_REFUSED */
function parseCursor(cursor: string, channel: string): ShardPosition {
  try {
    const [shard, item] = JSON.parse(cursor) as [number, string?];
    if (!Number.isInteger(shard) || shard < 0 || shard >= countShards(channel))
      throw new TypeError("Shard out of range");
    if (item === undefined) return { shard };
    return { shard, start: { [NAMES.group]: { S: shardGroup(channel, shard) }, [NAMES.item]: { S: item } } };
  } catch (cause) {
    throw new StoreError(
      "STORE_REFUSED",
      "Invalid members cursor; pass one that `listMembers` returned for this table",
      { cause },
    );
  }
}
