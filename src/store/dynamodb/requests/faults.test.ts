import { randomUUID } from "node:crypto";
import { DescribeTableCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { beforeEach, describe, expect, it } from "vitest";
import { localClient, MINUTE } from "../../../../test/dynamodb/connection-table.ts";
import {
  type Fault,
  failFirstAttempts,
  injectFaults,
  RESPONSE_LOST,
  THROTTLED,
} from "../../../../test/dynamodb/request-faults.ts";
import { RequestTableUnderTest } from "../../../../test/dynamodb/request-table.ts";
import type { OutputItem, StoredRequest } from "../../contracts/requests.ts";
import { createTables, dynamoDBChannelStore } from "../index.ts";
import type { DynamoDBRequestStore } from "./request-store.ts";

const FAILURE = { code: "INTERNAL_ERROR", message: "It broke" };
const LARGE = "x".repeat(2_000);
const KEY = { owner: "ada", id: "r1" };

let table: RequestTableUnderTest;
/** Each represents a process. */
let [one, two]: DynamoDBRequestStore[] = [];

beforeEach(async () => {
  table = await RequestTableUnderTest.create();
  [one, two] = [table.store(), table.store()];
});

const lease = (token: string) => ({ ...KEY, token });
const create = (store = one!, input: string | { pages: number } = { pages: 3 }, createdAt = table.now()) =>
  store.create({
    ...KEY,
    action: "report",
    input,
    tenant: "acme",
    identity: {},
    priority: 0,
    createdAt,
    dueAt: createdAt,
  });
const claim = (token: string, store = one!) =>
  store.claim(lease(token), { now: table.now(), leaseUntil: table.now() + MINUTE });
const item = (offset: number, text: string): OutputItem => ({
  offset,
  data: { text },
  chunks: offset,
  bytes: 10 * offset,
  at: table.now(),
});
const append = (token: string, offset: number, text: string, store = one!) =>
  store.append(lease(token), item(offset, text));
const finish = (token: string, store = one!) =>
  store.finish(
    lease(token),
    { state: "COMPLETED", result: LARGE, expiresAt: table.now() + MINUTE },
    table.now(),
  );
const cancel = (store = one!) => store.cancel(KEY, { now: table.now(), expiresAt: table.now() + MINUTE });
const output = async (store = two!) =>
  (await store.readOutput(KEY, { after: 0, limit: 100 })).items.map(({ data }) =>
    "text" in data ? data.text : null,
  );

function withFaults(
  choose: (request: { operation: string; input: object }) => Fault | undefined,
  timeoutMs = 60_000,
) {
  const client = localClient();
  injectFaults(client, choose);
  return table.store({ client, timeoutMs });
}

/** A client whose write of one item of output waits. */
function withHeldAppend(offset: number) {
  const client = localClient();
  const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  client.middlewareStack.add(
    (next) => async (args) => {
      const { Item } = args.input as { Item?: { Item: { S: string } } };
      if (Item?.Item.S.endsWith(`/${String(offset).padStart(12, "0")}`)) {
        arrived.resolve();
        await released.promise;
      }
      return next(args);
    },
    { step: "initialize" },
  );
  return { store: table.store({ client }), arrived: arrived.promise, release: released.resolve };
}

describe("DynamoDB requests", () => {
  it("repeat no write whose response was lost", async () => {
    const store = withFaults(failFirstAttempts(RESPONSE_LOST));
    await create(store, LARGE);
    expect(await claim("t1", store)).toMatchObject({ request: { attempt: 1 }, input: LARGE });
    for (const offset of [1, 2, 3]) expect(await append("t1", offset, `text ${offset}`, store)).toBe(true);
    expect(await store.saveCheckpoint(lease("t1"), LARGE)).toBe(true);
    const retry = { state: "RETRYING", failure: FAILURE, dueAt: table.now() } as const;
    expect(await store.finish(lease("t1"), retry, table.now())).toBe(true);
    expect(await claim("t2", store)).toMatchObject({
      request: { attempt: 2 },
      checkpoint: LARGE,
      output: { offset: 4, chunks: 3, bytes: 30 },
    });
    expect(await store.finish(lease("t2"), { state: "PENDING" }, table.now())).toBe(true);
    expect(await claim("t3", store)).toMatchObject({ request: { attempt: 2 } });
    expect(await finish("t3", store)).toBe(true);
    expect(await output()).toEqual(["text 1", "text 2", "text 3", null, null]);
    expect(await two!.readResult(KEY)).toEqual({ result: LARGE });
  });

  it("let a worker in another process write nothing after a take-over", async () => {
    await create();
    await claim("t1");
    await append("t1", 1, "early");
    table.advance(MINUTE);
    expect(await claim("t2", two)).toMatchObject({ output: { offset: 2, chunks: 1, bytes: 10 } });
    expect(await append("t1", 2, "late")).toBe(false);
    expect(await append("t1", 3, "late")).toBe(false);
    expect(await append("t2", 3, "next", two)).toBe(true);
    expect(await finish("t1")).toBe(false);
    expect(await output()).toEqual(["early", null, "next"]);
  });

  it("let a worker in another process start no output after a take-over", async () => {
    await create();
    await claim("t1");
    table.advance(MINUTE);
    expect(await claim("t2", two)).toMatchObject({ output: { offset: 0 } });
    expect(await append("t1", 1, "late")).toBe(false);
    expect(await append("t2", 1, "first", two)).toBe(true);
    expect(await output()).toEqual(["first"]);
  });

  it("keep a lease whose store has forgotten it", async () => {
    await create();
    await claim("t1");
    await append("t1", 1, "one");
    expect(await append("t1", 3, "three", two)).toBe(false);
    expect(await append("t1", 2, "two", two)).toBe(true);
    expect(await two!.saveCheckpoint(lease("t1"), LARGE)).toBe(true);
    expect(await finish("t1", two)).toBe(true);
    expect(await output()).toEqual(["one", "two"]);
  });

  it("show no item that was written after the worker had ended the output", async () => {
    const { store, arrived, release } = withHeldAppend(2);
    await create();
    await claim("t1", store);
    await append("t1", 1, "one", store);
    const late = append("t1", 2, "late", store);
    await arrived;
    expect(await finish("t1", store)).toBe(true);
    release();
    await late;
    expect(await two!.readOutput(KEY, { after: 0, limit: 100 })).toMatchObject({
      head: { offset: 1, chunks: 1 },
      items: [{ offset: 1 }],
      more: false,
    });
    expect(await two!.readOutput(KEY, { after: 1, limit: 100 })).toMatchObject({
      head: { offset: 1 },
      items: [],
    });
  });

  it("fence a worker's item that arrives during its take-over", async () => {
    const { store, arrived, release } = withHeldAppend(2);
    await create();
    await claim("t1", store);
    await append("t1", 1, "one", store);
    const late = append("t1", 2, "late", store);
    await arrived;
    table.advance(MINUTE);
    expect(await claim("t2", two)).toMatchObject({ output: { offset: 2 } });
    release();
    expect(await late).toBe(false);
    expect(await append("t2", 3, "next", two)).toBe(true);
    expect(await output()).toEqual(["one", null, "next"]);
  });

  it("end an output whose cancellation was interrupted", async () => {
    await create();
    await claim("t1");
    await append("t1", 1, "one");
    const isEnd = ({ input }: { input: object }) => JSON.stringify(input).includes('"Token":{"S":"end"}');
    const interrupted = withFaults((request) => (isEnd(request) ? THROTTLED : undefined), 500);
    await expect(cancel(interrupted)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(await two!.get(KEY)).toMatchObject({ state: "CANCELLED" });
    expect(await output()).toEqual(["one", null]);
    expect(await append("t1", 2, "late")).toBe(false);
    expect(await cancel()).toMatchObject({ state: "CANCELLED" });
    expect(await output()).toEqual(["one", null]);
  });

  it("complete a claim that was interrupted when the worker repeats it", async () => {
    await create();
    await claim("t0", two);
    await append("t0", 1, "one", two);
    table.advance(MINUTE);
    let isBroken = true;
    const isMarker = ({ input }: { input: object }) => JSON.stringify(input).includes("output/");
    const store = withFaults((request) => (isBroken && isMarker(request) ? THROTTLED : undefined), 500);
    await expect(claim("t1", store)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    isBroken = false;
    const again = table.store();
    for (let n = 0; n < 2; n++) {
      expect(await claim("t1", again)).toMatchObject({ request: { attempt: 2 }, output: { offset: 2 } });
    }
    expect(await append("t0", 2, "late", two)).toBe(false);
  });

  it("let an earlier worker replace no checkpoint", async () => {
    await create();
    await claim("t1");
    for (const n of [1, 2, 3]) expect(await one!.saveCheckpoint(lease("t1"), LARGE + n)).toBe(true);
    table.advance(MINUTE);
    expect((await claim("t2", two))?.checkpoint).toBe(`${LARGE}3`);
    expect(await one!.saveCheckpoint(lease("t1"), `${LARGE}4`)).toBe(false);
    table.advance(MINUTE);
    expect((await claim("t3"))?.checkpoint).toBe(`${LARGE}3`);
    expect(await one!.saveCheckpoint(lease("t3"), "small")).toBe(true);
    table.advance(MINUTE);
    expect((await claim("t4", two))?.checkpoint).toBe("small");
  });

  it("let DynamoDB remove a request when it has expired, and no earlier", async () => {
    const expiries = async () =>
      (await table.readItems()).map(({ Item, ExpiresAt }) => [
        Item?.S?.split("/")[0],
        ExpiresAt === undefined ? undefined : Number(ExpiresAt.N) * 1_000 - table.now(),
      ]);
    const days = 24 * 60 * MINUTE;
    await create(one, LARGE);
    await claim("t1");
    await append("t1", 1, "one");
    await one!.saveCheckpoint(lease("t1"), LARGE);
    const parts = ["checkpoint", "input", "output"].map((name) => [name, 90 * days]);
    expect((await expiries()).sort()).toEqual([...parts, ["state", undefined]]);
    const expiresAt = table.now() + 365 * days;
    await one!.finish(lease("t1"), { state: "FAILED", failure: FAILURE, expiresAt }, table.now());
    // Not after its parts.
    expect((await expiries()).sort()).toEqual([...parts, ["state", 90 * days]]);
    await one!.redrive(KEY, table.now());
    expect((await expiries()).sort()).toEqual([...parts, ["state", undefined]]);
    await claim("t2");
    await finish("t2");
    expect((await expiries()).find(([name]) => name === "state")).toEqual(["state", MINUTE]);
  });

  it("mix no output of a request with that of an earlier one of the same id", async () => {
    await create();
    await claim("t1");
    await append("t1", 1, "old");
    await finish("t1");
    table.advance(MINUTE);
    expect(await create(two)).toMatchObject({ outcome: "created" });
    expect(await claim("t2", two)).toMatchObject({ output: { offset: 0 } });
    expect(await append("t2", 1, "new", two)).toBe(true);
    expect(await output()).toEqual(["new"]);
  });

  it("leave a malformed request out of the lists, and reject reading it", async () => {
    await create();
    const [row] = await table.readItems();
    const Item = { ...row!, Request: { S: '"ada","broken"' }, Content: { S: "{" } };
    await localClient().send(new PutItemCommand({ TableName: table.requestTableName, Item }));
    const due: StoredRequest[] = [];
    for await (const request of one!.listDue(table.now())) due.push(request);
    expect(due).toMatchObject([{ id: "r1" }]);
    const error = await one!.get({ owner: "ada", id: "broken" }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "BAD_ROW", message: expect.stringContaining("broken") });
  });

  it("have a table with a stream, and exist only with `requestTableName`", async () => {
    const [client, requestTableName] = [localClient(), `requests-${randomUUID()}`];
    await createTables({ client, requestTableName });
    const { Table } = await client.send(new DescribeTableCommand({ TableName: requestTableName }));
    expect(Table?.StreamSpecification).toEqual({ StreamEnabled: true, StreamViewType: "NEW_IMAGE" });
    const indexes = Table?.GlobalSecondaryIndexes?.map(({ IndexName, Projection }) => [
      IndexName,
      Projection?.ProjectionType,
    ]);
    expect(indexes?.sort()).toEqual([
      ["OpenIndex", "KEYS_ONLY"],
      ["OwnerIndex", "KEYS_ONLY"],
    ]);
    const others = { messageTableName: "m", memberTableName: "n", client };
    expect(dynamoDBChannelStore(others)).not.toHaveProperty("requests");
    expect(() => dynamoDBChannelStore({ ...others, requestTableName: "" })).toThrow("requestTableName");
  });
});
