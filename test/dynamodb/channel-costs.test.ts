import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AttributeValue, TransactWriteItemsInput } from "@aws-sdk/client-dynamodb";
import type { Member, NewMessage } from "lift-ws/store";
import type { CallMetrics, DynamoDBChannelStore } from "lift-ws/store/dynamodb";
import { beforeEach, describe, expect, it } from "vitest";
import { sections, tableRows } from "../support/markdown.ts";
import { ChannelTables } from "./channel-tables.ts";
import { localClient, MINUTE } from "./connection-table.ts";

const DOC = readFileSync(join(import.meta.dirname, "../../docs/operations/dynamodb-costs.md"), "utf8");
const SECTION = "Cost of channels";
const ROWS = tableRows(sections(DOC).get(SECTION) ?? "");

const BOUNDS = { size: 100, ageMs: 5 * MINUTE };
const CHANNEL = JSON.stringify(["tenant-1", "room:lobby"]);

let tables: ChannelTables;
let store: DynamoDBChannelStore;
let units: { reads: number; writes: number };
const measured = new Set<string>();

beforeEach(async () => {
  tables = await ChannelTables.create();
  units = { reads: 0, writes: 0 };
  const client = localClient();
  client.middlewareStack.add(
    (next, context) => (args) => {
      if (context.commandName === "TransactWriteItemsCommand") {
        units.writes += transactionUnits(args.input as TransactWriteItemsInput);
      }
      return next(args);
    },
    { step: "initialize" },
  );
  store = tables.store({ client, enableMetrics: count });
});

function count({ operation, outcome, readUnits, writeUnits }: CallMetrics): void {
  expect(outcome).not.toBe("failed");
  // A query without results costs a unit, which DynamoDB Local does not report.
  units.reads += operation === "Query" ? Math.max(1, readUnits) : readUnits;
  // It also omits transaction writes of equal size, so those are counted from the requests.
  if (operation !== "TransactWriteItems") units.writes += writeUnits;
}

/** Write units of a transaction: two per KB of an item. */
function transactionUnits({ TransactItems }: TransactWriteItemsInput): number {
  const sizes = (TransactItems ?? []).map(({ Put }) => sizeOf({ M: Put?.Item ?? {} }));
  return sizes.reduce((sum, size) => sum + 2 * Math.ceil(size / 1_024), 0);
}

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html */
function sizeOf({ S, N, BOOL, M }: AttributeValue): number {
  if (S !== undefined) return Buffer.byteLength(S);
  if (N !== undefined) return Math.ceil(N.length / 2) + 1;
  if (BOOL !== undefined) return 1;
  return Object.entries(M ?? {}).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + sizeOf(value),
    0,
  );
}

/** Units of a row of the table. */
function documentedUnits(name: string): { reads: number; writes: number } {
  const row = ROWS.find(([first]) => first === name);
  return { reads: Number(row?.[1]), writes: Number(row?.[2]) };
}

async function expectDocumented(name: string, work: () => Promise<unknown>): Promise<void> {
  measured.add(name);
  units = { reads: 0, writes: 0 };
  await work();
  expect({ name, ...units }).toEqual({ name, ...documentedUnits(name) });
}

/** Checks the total of a message to so many members, whose list has so many pages. */
function expectTotal(members: string, listing: string, pages: number): void {
  const append = documentedUnits("… with a key");
  const checkpoint = documentedUnits("… progress saved: `checkpoint`");
  const delivered = documentedUnits("… marked as fanned out: `markDelivered`");
  const reads = append.reads + documentedUnits(listing).reads;
  const writes = append.writes + (pages - 1) * checkpoint.writes + delivered.writes;
  // Prices of a million units in us-east-1.
  const dollars = (reads * 0.125 + writes * 0.625).toFixed(2);
  const [total = ""] =
    DOC.replaceAll(/\s+/g, " ").match(new RegExp(`[Tt]o ${members}: [^.]*\\.\\d\\d`)) ?? [];
  expect(total.match(/[\d.]+/g)).toEqual([String(reads), String(writes), dollars]);
}

const message = (n: number, overrides: Partial<NewMessage> = {}): NewMessage => ({
  id: `01JD3Z6X7Q${String(n).padStart(6, "0")}`,
  data: { text: "x".repeat(100) },
  userId: "user-1",
  at: tables.now(),
  ...overrides,
});

const member = (connectionId: string, userId?: string): Member => ({
  connectionId,
  ...(userId === undefined ? {} : { userId }),
  endpoint: "https://abcdefghij.execute-api.us-east-1.amazonaws.com/production",
  joinedAt: tables.now(),
  expiresAt: tables.now() + 130 * MINUTE,
});

async function exhaust(list: AsyncIterable<unknown>): Promise<number> {
  let length = 0;
  for await (const _ of list) length++;
  return length;
}

describe("docs/operations/dynamodb-costs.md lists the units of", () => {
  it("publishing", async () => {
    const { history } = store;
    const append = (n: number, overrides?: Partial<NewMessage>) =>
      history.append(CHANNEL, message(n, overrides), BOUNDS);
    // The channel has a head from then on.
    await append(0);
    await expectDocumented("a publication: `append`", () => append(1));
    await expectDocumented("… with a key", () => append(2, { key: "user-1:k1" }));
    await expectDocumented("… with a key that is known", () => append(3, { key: "user-1:k1" }));
    await expectDocumented("… of 10 KB, with a key", () =>
      append(4, { key: "user-1:k2", data: "x".repeat(10_000) }),
    );
    await expectDocumented("… marked as fanned out: `markDelivered`", () =>
      history.markDelivered(CHANNEL, 1),
    );
    await expectDocumented("… checked by the stream's function: `getPendingFanOut`", () =>
      history.getPendingFanOut(CHANNEL, 1),
    );
    await expectDocumented("… progress saved: `checkpoint`", () => history.checkpoint(CHANNEL, 2, "[3]"));
  });

  it("reading", async () => {
    const { history } = store;
    const query = { limit: 100, retention: BOUNDS, now: tables.now() };
    for (let n = 1; n <= 100; n++) await history.append(CHANNEL, message(n), BOUNDS);
    await expectDocumented("`readHead`", () => history.readHead(CHANNEL));
    const nothing = () => history.read(CHANNEL, { ...query, after: 100 });
    await expectDocumented("`read`, nothing missed", nothing);
    await expectDocumented("`read`, 50 messages of 100 bytes missed", () =>
      history.read(CHANNEL, { ...query, after: 50 }),
    );
  });

  it("subscribing and leaving", async () => {
    const { members } = store;
    await expectDocumented("a subscription: `add`, anonymous", () => members.add(CHANNEL, member("c1=")));
    await expectDocumented("… of a user", () => members.add(CHANNEL, member("c2=", "user-1")));
    await expectDocumented("… of a user's second connection", () =>
      members.add(CHANNEL, member("c3=", "user-1")),
    );
    await expectDocumented("`setState`", () => members.setState(CHANNEL, "user-1", { typing: true }));
    await expectDocumented("`listChannels`", () => exhaust(members.listChannels("c2=")));
    await expectDocumented("`listMembers` of three members", async () => {
      const pages = await exhaust(members.listMembers(CHANNEL, tables.now()));
      expectTotal("three members", "`listMembers` of three members", pages);
    });
    await expectDocumented("a leave: `remove`, anonymous", () => members.remove(CHANNEL, "c1="));
    await expectDocumented("… of a user's last connection", () => members.remove(CHANNEL, "c2="));
    await expectDocumented("… repeated", () => members.remove(CHANNEL, "c2="));
  });

  it("a thousand members", async () => {
    const { members } = store;
    const ids = Array.from({ length: 1_000 }, (_, n) => `L0SM9cOFvH${String(n).padStart(5, "0")}=`);
    // With a long timeout, because the machine may be busy.
    const coming = tables.store({ timeoutMs: 60_000 }).members;
    for (let from = 0; from < ids.length; from += 20) {
      const some = ids.slice(from, from + 20);
      await Promise.all(some.map((id, n) => coming.add(CHANNEL, member(id, `user-${from + n}`))));
    }
    const now = tables.now();
    await expectDocumented("`listMembers` of a thousand", async () => {
      const pages = await exhaust(members.listMembers(CHANNEL, now));
      expectTotal("a thousand members", "`listMembers` of a thousand", pages);
    });
    await expectDocumented("`count` of a thousand", async () =>
      expect(await members.count(CHANNEL, now)).toBe(1_000),
    );
    await expectDocumented("`listPresence` of a thousand users", async () =>
      expect(await exhaust(members.listPresence(CHANNEL, now))).toBe(1_000),
    );
  });

  it("a chunked message", async () => {
    const text = "x".repeat(32_000);
    const parts = [0, 1, 2, 3].map((index) => ({ message: 1, index, count: 4, text }));
    await expectDocumented("a message of 128 KB in four chunks: `add`, four times", async () => {
      for (const part of parts) await store.chunks.add("c1=", part, tables.now());
    });
    await store.chunks.add("c1=", { ...parts[0]!, message: 2 }, tables.now());
    await expectDocumented("… incomplete and dropped: `abort`", () => store.chunks.abort("c1=", 2));
  });

  it("measured channel operations only", () => {
    expect(ROWS.map(([name]) => name).sort()).toEqual([...measured].sort());
  });
});
