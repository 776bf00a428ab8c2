// The flag and the state of a rollout in one row.
import { randomUUID } from "node:crypto";
import { CreateTableCommand, GetItemCommand } from "@aws-sdk/client-dynamodb";
import {
  createFlag,
  createRollout,
  dynamoDBFlag,
  type FlagTarget,
  parseFlag,
  type RolloutOptions,
} from "lift-ws/rollout";
import { createTestWebSocketEvent } from "lift-ws/testing";
import { beforeEach, expect, it } from "vitest";
import { GOOD_COUNTS } from "../support/good-counts.ts";
import { CALL_TIMEOUT_MS, localClient, MINUTE, noSdkTarget } from "./connection-table.ts";

const client = localClient();
const key = { name: { S: "lift-v2" } };
const { signal } = new AbortController();
const conflict = expect.objectContaining({ code: "CONFLICT" });

let tableName: string;

beforeEach(async () => {
  tableName = `flags-${randomUUID()}`;
  await client.send(
    new CreateTableCommand({
      TableName: tableName,
      AttributeDefinitions: [{ AttributeName: "name", AttributeType: "S" }],
      KeySchema: [{ AttributeName: "name", KeyType: "HASH" }],
      BillingMode: "PAY_PER_REQUEST",
    }),
  );
});

const target = (attribute = "Value") => dynamoDBFlag({ tableName, key, attribute, ...noSdkTarget() });

function rollout(options: Partial<RolloutOptions> = {}) {
  return createRollout({
    flag: target(),
    state: target("Rollout"),
    source: { read: (from, to) => ({ from, to, old: GOOD_COUNTS, new: GOOD_COUNTS }) },
    timeoutMs: CALL_TIMEOUT_MS,
    ...options,
  });
}

const percent = async () => parseFlag(await target().read(signal)).at(-1)?.percent;

it("a rollout keeps its state and its flag in one row", async () => {
  await rollout().start("begin");
  await rollout().promote("go", { to: 25 });
  const { Item } = await client.send(
    new GetItemCommand({ TableName: tableName, Key: key, ConsistentRead: true }),
  );
  expect(Object.keys(Item ?? {}).sort()).toEqual(["Rollout", "Value", "name"]);
  expect(JSON.parse(Item?.Rollout?.S ?? "")).toMatchObject({ state: { percent: 25 }, change: { why: "go" } });
  expect(await percent()).toBe(25);
  const flag = createFlag({ source: target(), cacheMs: 0, timeoutMs: CALL_TIMEOUT_MS });
  const connectedAt = Date.now() + 2 * MINUTE;
  const event = createTestWebSocketEvent("$connect", "a");
  const sides = Array.from({ length: 40 }, (_, n) => {
    const requestContext = { ...event.requestContext, connectionId: `id-${n}`, connectedAt };
    return flag.side({ ...event, requestContext } as typeof event);
  });
  expect((await Promise.all(sides)).filter((side) => side === "new").length).toBeGreaterThan(0);
});

it("of many operators at once, one promotes", async () => {
  await rollout().start("begin");
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, () => rollout().promote("go", { to: 25 })),
  );
  for (const result of results) if (result.status === "rejected") expect(result.reason).toEqual(conflict);
  expect(results.some(({ status }) => status === "fulfilled")).toBe(true);
  expect(await rollout().status()).toMatchObject({ state: { percent: 25 }, isFlagWritten: true });
  expect(await percent()).toBe(25);
});

it("a rollback wins over promotions at the same time", async () => {
  await rollout().start("begin");
  const promotions = Array.from({ length: 4 }, () => rollout().promote("go"));
  const rollback = rollout().rollback("stop");
  await Promise.allSettled(promotions);
  expect((await rollback).isFlagWritten).toBe(true);
  expect(await percent()).toBe(0);
  expect(await rollout().status()).toMatchObject({ state: { status: "rolled back" }, isFlagWritten: true });
});

it("an operator who died between the two writes is resumed", async () => {
  await rollout().start("begin");
  const dead: FlagTarget = {
    read: (abort) => target().read(abort),
    write: () => Promise.reject(new Error("killed")),
  };
  await expect(rollout({ flag: dead }).promote("go")).rejects.toThrow("killed");
  expect(await rollout().status()).toMatchObject({ state: { percent: 25 }, isFlagWritten: false });
  expect((await rollout().promote("go")).state.percent).toBe(25);
  expect(await percent()).toBe(25);
});
