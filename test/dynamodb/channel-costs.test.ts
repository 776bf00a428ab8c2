import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Member, NewMessage } from "lift-ws/store";
import type { DynamoDBChannelStore } from "lift-ws/store/dynamodb";
import { beforeEach, describe, expect, it } from "vitest";
import { type MeasuredUnits, UNITS } from "../../src/cli/cost/units.ts";
import { toRequestChannelKey } from "../../src/streamer/requests/request-keys.ts";
import { UnitCounter } from "../support/unit-counter.ts";
import { ChannelTables } from "./channel-tables.ts";
import { localClient, MINUTE } from "./connection-table.ts";

const DOC = readFileSync(join(import.meta.dirname, "../../docs/operations/dynamodb-costs.md"), "utf8");
const { channels: DOCUMENTED } = UNITS;

const BOUNDS = { size: 100, ageMs: 5 * MINUTE };
const CHANNEL = JSON.stringify(["tenant-1", "room:lobby"]);

let tables: ChannelTables;
let store: DynamoDBChannelStore;
let counter: UnitCounter;
const measured = new Set<MeasuredUnits>();

beforeEach(async () => {
  tables = await ChannelTables.create();
  counter = new UnitCounter(localClient());
  store = tables.store({ client: counter.client });
});

async function expectDocumented(units: MeasuredUnits, work: () => Promise<unknown>): Promise<void> {
  measured.add(units);
  counter.take();
  await work();
  expect({ row: units.row, ...counter.take() }).toEqual(units);
}

/** Checks the total of a message to so many members, whose list has so many pages. */
function expectTotal(members: string, listing: MeasuredUnits, pages: number): void {
  const { appendWithKey: append, checkpoint, markDelivered } = DOCUMENTED;
  const reads = append.reads + listing.reads;
  const writes = append.writes + (pages - 1) * checkpoint.writes + markDelivered.writes;
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
    await expectDocumented(DOCUMENTED.append, () => append(1));
    await expectDocumented(DOCUMENTED.appendWithKey, () => append(2, { key: "user-1:k1" }));
    await expectDocumented(DOCUMENTED.appendKnownKey, () => append(3, { key: "user-1:k1" }));
    await expectDocumented(DOCUMENTED.appendLarge, () =>
      append(4, { key: "user-1:k2", data: "x".repeat(10_000) }),
    );
    await expectDocumented(DOCUMENTED.markDelivered, () => history.markDelivered(CHANNEL, 1));
    await expectDocumented(DOCUMENTED.getPendingFanOut, () => history.getPendingFanOut(CHANNEL, 1));
    await expectDocumented(DOCUMENTED.checkpoint, () => history.checkpoint(CHANNEL, 2, "[3]"));
  });

  it("reading", async () => {
    const { history } = store;
    const query = { limit: 100, retention: BOUNDS, now: tables.now() };
    for (let n = 1; n <= 100; n++) await history.append(CHANNEL, message(n), BOUNDS);
    await expectDocumented(DOCUMENTED.readHead, () => history.readHead(CHANNEL));
    const nothing = () => history.read(CHANNEL, { ...query, after: 100 });
    await expectDocumented(DOCUMENTED.readNothing, nothing);
    await expectDocumented(DOCUMENTED.readMissed, () => history.read(CHANNEL, { ...query, after: 50 }));
  });

  it("subscribing and leaving", async () => {
    const { members } = store;
    await expectDocumented(DOCUMENTED.addAnonymous, () => members.add(CHANNEL, member("c1=")));
    await expectDocumented(DOCUMENTED.addUser, () => members.add(CHANNEL, member("c2=", "user-1")));
    await expectDocumented(DOCUMENTED.addUserAgain, () => members.add(CHANNEL, member("c3=", "user-1")));
    await expectDocumented(DOCUMENTED.setState, () => members.setState(CHANNEL, "user-1", { typing: true }));
    await expectDocumented(DOCUMENTED.listChannels, () => exhaust(members.listChannels("c2=")));
    await expectDocumented(DOCUMENTED.listThreeMembers, async () => {
      const pages = await exhaust(members.listMembers(CHANNEL, tables.now()));
      expectTotal("three members", DOCUMENTED.listThreeMembers, pages);
    });
    const watched = toRequestChannelKey({ tenantId: "tenant-1", userId: "user-1" }, "request-1");
    for (const id of ["c1=", "c2=", "c3="]) await members.add(watched, member(id));
    await expectDocumented(DOCUMENTED.listWatchers, () =>
      exhaust(members.listMembers(watched, tables.now())),
    );
    await expectDocumented(DOCUMENTED.removeAnonymous, () => members.remove(CHANNEL, "c1="));
    await expectDocumented(DOCUMENTED.removeUser, () => members.remove(CHANNEL, "c2="));
    await expectDocumented(DOCUMENTED.removeAgain, () => members.remove(CHANNEL, "c2="));
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
    await expectDocumented(DOCUMENTED.listThousandMembers, async () => {
      const pages = await exhaust(members.listMembers(CHANNEL, now));
      expectTotal("a thousand members", DOCUMENTED.listThousandMembers, pages);
    });
    await expectDocumented(DOCUMENTED.countThousand, async () =>
      expect(await members.count(CHANNEL, now)).toBe(1_000),
    );
    await expectDocumented(DOCUMENTED.listThousandUsers, async () =>
      expect(await exhaust(members.listPresence(CHANNEL, now))).toBe(1_000),
    );
  });

  it("a chunked message", async () => {
    const text = "x".repeat(32_000);
    const parts = [0, 1, 2, 3].map((index) => ({ message: 1, index, count: 4, text }));
    await expectDocumented(DOCUMENTED.addChunks, async () => {
      for (const part of parts) await store.chunks.add("c1=", part, tables.now());
    });
    await store.chunks.add("c1=", { ...parts[0]!, message: 2 }, tables.now());
    await expectDocumented(DOCUMENTED.abortChunks, () => store.chunks.abort("c1=", 2));
  });

  it("measured channel operations only", () => {
    expect(measured).toEqual(new Set(Object.values(DOCUMENTED)));
  });
});
