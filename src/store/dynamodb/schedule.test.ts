import { randomUUID } from "node:crypto";
import { DescribeTableCommand, PutItemCommand, paginateScan } from "@aws-sdk/client-dynamodb";
import { beforeAll, describe, expect, it } from "vitest";
import {
  CALL_TIMEOUT_MS,
  createTable,
  localClient,
  noSdkTarget,
} from "../../../test/dynamodb/connection-table.ts";
import { failFirstAttempts, injectFaults, THROTTLED } from "../../../test/dynamodb/request-faults.ts";
import { scheduleProperties } from "../../../test/stores/schedule-properties.ts";
import { scheduleCases } from "../contracts/cases.ts";
import type { Schedule } from "../contracts/schedule.ts";
import { createTableInput, dynamoDBSchedule, SCHEDULE_TABLE } from "./index.ts";
import { dynamoDBSchedule as noSdkSchedule } from "./no-sdk.ts";

/** In the future, because the clock of DynamoDB Local cannot be moved, and its TTL would remove earlier items. */
const NOW = Math.ceil(Date.now() / 3_600_000) * 3_600_000;
const client = localClient();

async function makeTable(): Promise<string> {
  const scheduleTableName = `schedule-${randomUUID()}`;
  await createTable(scheduleTableName, SCHEDULE_TABLE);
  return scheduleTableName;
}

for (const [title, create] of [
  [
    "DynamoDB schedule",
    async () => dynamoDBSchedule({ tableName: await makeTable(), client, timeoutMs: CALL_TIMEOUT_MS }),
  ],
  [
    "DynamoDB schedule without the SDK",
    async () => noSdkSchedule({ tableName: await makeTable(), ...noSdkTarget(), timeoutMs: CALL_TIMEOUT_MS }),
  ],
] as const) {
  scheduleCases({ describe, it }, title, create);
  scheduleProperties(title, create);
}

describe("DynamoDB schedule", () => {
  let tableName: string;
  let schedule: Schedule;

  beforeAll(async () => {
    tableName = await makeTable();
    schedule = dynamoDBSchedule({ tableName, client, timeoutMs: CALL_TIMEOUT_MS });
  });

  const ids = async (now: number) => {
    const found: string[] = [];
    for await (const { id } of schedule.listDue(now)) found.push(id);
    return found.sort();
  };

  const items = async (kind: string) => {
    const found = [];
    for await (const { Items = [] } of paginateScan({ client }, { TableName: tableName })) {
      found.push(...Items.filter(({ ItemKey }) => ItemKey?.S?.startsWith(`["${kind}",`)));
    }
    return found;
  };

  it("creates its table as defined", async () => {
    const { Table } = await client.send(new DescribeTableCommand({ TableName: tableName }));
    const wanted = createTableInput(tableName, SCHEDULE_TABLE);
    expect(Table?.KeySchema).toEqual(wanted.KeySchema);
    expect(Table?.GlobalSecondaryIndexes).toEqual([
      expect.objectContaining({ IndexName: "DueIndex", Projection: { ProjectionType: "ALL" } }),
    ]);
  });

  it("spreads items over the shards, and reads all pages of a shard", async () => {
    const data = { filling: "x".repeat(40_000) };
    const all = Array.from({ length: 600 }, (_, n) => `item-${String(n).padStart(3, "0")}`);
    // Items of 40 KB each: a single shard would hold 24 MB, and a page at most 1 MB.
    for (let from = 0; from < all.length; from += 60) {
      const some = all.slice(from, from + 60);
      await Promise.all(some.map((id) => schedule.put({ kind: "test", id, dueAt: NOW, data })));
    }
    expect(await ids(NOW)).toEqual(all);
    const counts = new Map<string, number>();
    for (const { Shard } of await items("test")) {
      counts.set(Shard!.S!, (counts.get(Shard!.S!) ?? 0) + 1);
    }
    expect(counts.size).toBe(16);
    expect(Math.max(...counts.values())).toBeLessThan(all.length / 8);
  });

  it("expires an item a week after it was due", async () => {
    await schedule.put({ kind: "ttl", id: "a", dueAt: NOW + 1, data: {} });
    const week = 7 * 24 * 60 * 60;
    expect((await items("ttl"))[0]?.ExpiresAt).toEqual({ N: String(NOW / 1_000 + 1 + week) });
  });

  it("keeps a failed item's expiry, and expires a dead letter a week after its failure", async () => {
    const item = { kind: "failing", id: "a", dueAt: NOW, data: {} };
    const expiresAt = async () => Number((await items("failing"))[0]?.ExpiresAt?.N);
    await schedule.put(item);
    const before = await expiresAt();
    await schedule.recordFailure(item, { failures: 1, cause: "no", at: NOW, dueAt: NOW + 3_600_000 });
    expect(await expiresAt()).toBe(before);
    const at = NOW + 3_600_000;
    await schedule.recordFailure({ ...item, dueAt: at }, { failures: 2, cause: "no", at });
    expect(await expiresAt()).toBe(before + 3_600);
    await schedule.delete({ ...item, dueAt: at });
  });

  it("retries throttled calls", async () => {
    const throttled = localClient();
    injectFaults(throttled, failFirstAttempts(THROTTLED));
    const own = dynamoDBSchedule({
      tableName: await makeTable(),
      client: throttled,
      timeoutMs: CALL_TIMEOUT_MS,
    });
    const item = { kind: "test", id: "a", dueAt: NOW, data: {} };
    await own.put(item);
    const due = [];
    for await (const each of own.listDue(NOW)) due.push(each);
    expect(due).toEqual([item]);
    await own.delete(item);
    for await (const _ of own.listDue(NOW)) expect.unreachable();
  });

  it("names a malformed item after listing all others", async () => {
    const own = await makeTable();
    for (const shard of ["0", "15"]) {
      const Item = {
        ItemKey: { S: `["${shard}"]` },
        Shard: { S: shard },
        DueAt: { S: "0" },
        Data: { S: "{}" },
      };
      await client.send(new PutItemCommand({ TableName: own, Item }));
    }
    const bad = dynamoDBSchedule({ tableName: own, client, timeoutMs: CALL_TIMEOUT_MS });
    const all = Array.from({ length: 50 }, (_, n) => `item-${n}`);
    for (const id of all) await bad.put({ kind: "test", id, dueAt: NOW, data: {} });
    const seen: string[] = [];
    const read = async () => {
      for await (const { id } of bad.listDue(NOW)) seen.push(id);
    };
    const message = expect.stringMatching(/"(0|15)"/);
    await expect(read()).rejects.toMatchObject({ code: "BAD_ROW", message });
    expect(seen.sort()).toEqual(all.sort());
  });

  it("reports a missing table", async () => {
    const lost = dynamoDBSchedule({ tableName: "nowhere", client });
    await expect(lost.put({ kind: "a", id: "b", dueAt: 0, data: {} })).rejects.toMatchObject({
      code: "STORE_REFUSED",
    });
  });

  it("rejects unknown and invalid options", () => {
    const invalid = expect.objectContaining({ code: "INVALID_OPTION" });
    expect(() => dynamoDBSchedule({} as never)).toThrow(invalid);
    expect(() => dynamoDBSchedule({ tableName: "t", ttlHours: 1 } as never)).toThrow(invalid);
    expect(() => dynamoDBSchedule({ tableName: "t", timeoutMs: 0 })).toThrow(invalid);
  });
});
