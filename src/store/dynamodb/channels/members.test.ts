import { PutItemCommand } from "@aws-sdk/client-dynamodb";
import { beforeEach, describe, expect, it } from "vitest";
import { ChannelTables } from "../../../../test/dynamodb/channel-tables.ts";
import { localClient, MINUTE } from "../../../../test/dynamodb/connection-table.ts";
import {
  type Fault,
  failFirstAttempts,
  INTERNAL_ERROR,
  injectFaults,
  RESPONSE_LOST,
  THROTTLED,
} from "../../../../test/dynamodb/request-faults.ts";
import type { ChannelMembers, Member, Presence } from "../../contracts/channel-members.ts";
import type { DynamoDBChannelStoreOptions } from "../index.ts";

const REFUSED: Fault = { exception: "ValidationException", status: 400 };

let tables: ChannelTables;

beforeEach(async () => {
  tables = await ChannelTables.create();
});

const member = (connectionId: string, overrides: Partial<Member> = {}): Member => ({
  connectionId,
  userId: "ada",
  endpoint: "https://api.example.com/test",
  joinedAt: tables.now(),
  expiresAt: tables.now() + 130 * MINUTE,
  ...overrides,
});

/** A timeout of an hour, so that only the caller's budget ends a call, or the test times out. */
const PATIENT = { timeoutMs: 3_600_000 };

/** Creates members with the faults that `choose` selects. */
function failing(
  choose: Parameters<typeof injectFaults>[1],
  options: Partial<DynamoDBChannelStoreOptions> = {},
): ChannelMembers {
  const client = localClient();
  injectFaults(client, choose);
  return tables.store({ client, ...options }).members;
}

async function present(members = tables.store().members): Promise<Presence[]> {
  const found: Presence[] = [];
  for await (const each of members.listPresence("a", tables.now())) found.push(each);
  return found;
}

async function connections(members = tables.store().members, cursor?: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of members.listMembers("a", tables.now(), cursor)) {
    found.push(...page.members.map(({ connectionId }) => connectionId));
  }
  return found.sort();
}

async function channelsOf(connectionId: string): Promise<string[]> {
  const found: string[] = [];
  for await (const channel of tables.store().members.listChannels(connectionId)) found.push(channel);
  return found;
}

describe("members in DynamoDB", () => {
  it.each<[string, Fault]>([
    ["is throttled", THROTTLED],
    ["fails", INTERNAL_ERROR],
    ["succeeds but loses its response", RESPONSE_LOST],
  ])("report a user once when every call %s the first time", async (_what, fault) => {
    const members = failing(failFirstAttempts(fault));
    expect(await members.add("a", member("c1"))).toBe(true);
    expect(await members.add("a", member("c2"))).toBe(false);
    expect(await members.setState("a", "ada", "here")).toBe(true);
    expect(await connections(members)).toEqual(["c1", "c2"]);
    expect(await members.count("a", tables.now())).toBe(2);
    expect(await members.remove("a", "c1")).toBeUndefined();
    expect(await present(members)).toMatchObject([{ userId: "ada", state: "here" }]);
    expect(await members.remove("a", "c2")).toMatchObject({ userId: "ada", state: "here" });
    expect(await present(members)).toEqual([]);
    expect(await channelsOf("c1")).toEqual([]);
  });

  it("report a user once when processes add and remove tabs concurrently, with all responses lost", async () => {
    const tabs = Array.from({ length: 6 }, (_, n) => `c${n}`);
    // Long enough for all pauses of the concurrent calls, even on a busy machine.
    const by = Array.from({ length: 6 }, () =>
      failing(failFirstAttempts(RESPONSE_LOST), { timeoutMs: 50_000 }),
    );
    const came = await Promise.all(tabs.map((tab, n) => by[n]!.add("a", member(tab))));
    expect(came.filter(Boolean)).toHaveLength(1);
    const gone = await Promise.all([...tabs, ...tabs].map((tab, n) => by[(n * 5) % 6]!.remove("a", tab)));
    expect(gone.filter((each) => each !== undefined)).toHaveLength(1);
    expect(await connections()).toEqual([]);
  });

  /** Lets the given number of writes succeed and all later ones fail, regardless of time. */
  const refusedAfter = (writes: number) => {
    let done = 0;
    return ({ operation }: { operation: string }) =>
      operation !== "GetItem" && ++done > writes ? REFUSED : undefined;
  };

  it.each([0, 1, 2])("remove a member whose `add` failed after %i writes", async (writes) => {
    const broken = failing(refusedAfter(writes));
    await expect(broken.add("a", member("c1"))).rejects.toMatchObject({ code: "STORE_REFUSED" });
    const { members } = tables.store();
    expect(await channelsOf("c1")).toEqual(writes > 0 ? ["a"] : []);
    for await (const channel of members.listChannels("c1")) await members.remove(channel, "c1");
    expect(await connections()).toEqual([]);
    expect(await present()).toEqual([]);
    expect(await members.add("a", member("c1"))).toBe(true);
  });

  it.each([0, 1, 2])("add a member whose first `add` failed after %i writes", async (writes) => {
    const broken = failing(refusedAfter(writes));
    await expect(broken.add("a", member("c1"))).rejects.toMatchObject({ code: "STORE_REFUSED" });
    expect(await tables.store().members.add("a", member("c1"))).toBe(true);
  });

  it.each([0, 1, 2])("lead to a member whose `remove` failed after %i writes", async (writes) => {
    const { members } = tables.store();
    await members.add("a", member("c1"));
    const broken = failing(refusedAfter(writes));
    await expect(broken.remove("a", "c1")).rejects.toMatchObject({ code: "STORE_REFUSED" });
    expect(await channelsOf("c1")).toEqual(["a"]);
    await members.remove("a", "c1");
    expect(await channelsOf("c1")).toEqual([]);
    expect(await connections()).toEqual([]);
    expect(await present()).toEqual([]);
  });

  it("remove a member that only a page leads to", async () => {
    const { members } = tables.store();
    await members.add("a", member("c1"));
    const lost = failing(({ input }) =>
      JSON.stringify(input).includes('"connection:c1"') ? THROTTLED : undefined,
    );
    await expect(lost.remove("a", "c1", { getRemainingTimeInMillis: () => 400 })).rejects.toThrow();
    expect(await members.remove("a", "c1")).toMatchObject({ userId: "ada" });
  });

  it("reject before their caller's deadline, on every call that writes", async () => {
    const members = failing(() => THROTTLED, PATIENT);
    const budget = { getRemainingTimeInMillis: () => 500 };
    const calls = [
      members.add("a", member("c1"), budget),
      members.remove("a", "c1", budget),
      members.setState("a", "ada", "here", budget),
      members.listChannels("c1", budget)[Symbol.asyncIterator]().next(),
    ];
    const unavailable = { status: "rejected", reason: { code: "STORE_UNAVAILABLE" } };
    expect(await Promise.allSettled(calls)).toMatchObject(calls.map(() => unavailable));
    expect(await tables.readItems("members")).toEqual([]);
  });

  it("fail if a single shard cannot be read", async () => {
    await tables.store().members.add("a", member("c1"));
    const blocked = ({ input }: { input: object }) =>
      JSON.stringify(input).includes('"7:a"') ? THROTTLED : undefined;
    const members = failing(blocked, { timeoutMs: 200 });
    const unavailable = { code: "STORE_UNAVAILABLE" };
    await expect(connections(members)).rejects.toMatchObject(unavailable);
    await expect(members.count("a", tables.now())).rejects.toMatchObject(unavailable);
    await expect(present(members)).rejects.toMatchObject(unavailable);
  });

  it("cancel pages read ahead when the caller stops reading", async () => {
    const { members } = tables.store();
    for (let n = 0; n < 20; n++) await members.add("a", member(`c${n}`, { userId: `u${n}` }));
    const ended: string[] = [];
    let tell = () => {};
    const givenUp = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const slow = failing(({ input }) => (JSON.stringify(input).includes('"7:a"') ? THROTTLED : undefined), {
      ...PATIENT,
      enableMetrics: ({ outcome }) => {
        ended.push(outcome);
        if (outcome === "failed") tell();
      },
    });
    for await (const _ of slow.listPresence("a", tables.now())) break;
    await givenUp;
    expect(ended).toHaveLength(8);
  });

  it("are spread over the shards of a channel", async () => {
    const { members } = tables.store();
    const ids = Array.from({ length: 200 }, (_, n) => `L0SM9cOFvH${n}=`);
    for (let at = 0; at < ids.length; at += 50) {
      const some = ids.slice(at, at + 50);
      await Promise.all(some.map((id) => members.add("a", member(id, { userId: `user-${id}` }))));
    }
    const groups = (await tables.readItems("members")).flatMap(({ Group }) =>
      /^\d:/.test(Group!.S!) ? Group!.S! : [],
    );
    expect(new Set(groups).size).toBe(8);
    const largest = Math.max(
      ...[...new Set(groups)].map((name) => groups.filter((it) => it === name).length),
    );
    expect(largest).toBeLessThan(groups.length / 4);
  });

  it("expire from the table with their connection", async () => {
    const expiresAt = tables.now() + 130 * MINUTE;
    await tables.store().members.add("a", member("c1", { expiresAt }));
    const items = await tables.readItems("members");
    expect(items.map(({ ExpiresAt }) => Number(ExpiresAt?.N))).toEqual(Array(3).fill(expiresAt / 1_000));
    await tables.store().members.remove("a", "c1");
    const [left, ...others] = await tables.readItems("members");
    expect(others).toEqual([]);
    expect(left).toMatchObject({
      ExpiresAt: { N: String(tables.now() / 1_000 + 20 * 60) },
      Connections: { M: {} },
    });
  });

  it.each(["", "8", "[8]", "[-1]", "[0.5]", "null", "nonsense"])("reject the cursor %j", async (cursor) => {
    await expect(connections(undefined, cursor)).rejects.toMatchObject({ code: "STORE_REFUSED" });
  });

  it("name the malformed item, but not its content", async () => {
    const { members } = tables.store();
    const put = (Item: Record<string, { S: string }>) =>
      localClient().send(new PutItemCommand({ TableName: tables.memberTableName, Item }));
    await put({ Group: { S: "0:a" }, Item: { S: "member:c1" }, Member: { S: "secret" } });
    await put({ Group: { S: "0:a" }, Item: { S: "user:ada" }, State: { S: "secret" } });
    await put({ Group: { S: "connection:c1" }, Item: { S: "x" } });
    const bad = (name: string) => ({
      code: "BAD_ROW",
      message: `Item ${name} is malformed; delete or repair it`,
    });
    await expect(connections()).rejects.toMatchObject(bad('["0:a","member:c1"]'));
    await expect(present(members)).rejects.toMatchObject(bad('["0:a","user:ada"]'));
    await expect(channelsOf("c1")).rejects.toMatchObject(bad('["connection:c1","x"]'));
  });
});
