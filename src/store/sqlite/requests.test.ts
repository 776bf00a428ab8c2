import { describe, expect, it } from "vitest";
import { requestStoreProperties } from "../../../test/stores/request-store-properties.ts";
import { sqliteFiles } from "../../../test/stores/sqlite-files.ts";
import { requestStoreCases } from "../contracts/cases.ts";
import type { NewRequest, RequestStore, StoredRequest } from "../index.ts";
import { REQUEST_SQL } from "./request-statements.ts";

const START = Date.UTC(2026, 0, 1);
const { newPath, edit, open: openAt } = sqliteFiles();
const open = (path: string, now = () => START) => openAt(path, { now });

/** A file with one message, as the schema was before requests. */
const VERSION_2 = `
  CREATE TABLE life (token TEXT NOT NULL) STRICT;
  CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, head INTEGER NOT NULL,
    first INTEGER NOT NULL, size REAL NOT NULL, age_ms REAL NOT NULL, used_at REAL NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0) STRICT;
  CREATE TABLE messages (channel INTEGER NOT NULL, offset INTEGER NOT NULL, at REAL NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (channel, offset)) STRICT, WITHOUT ROWID;
  CREATE TABLE unfinished (channel INTEGER NOT NULL, offset INTEGER NOT NULL, cursor TEXT,
    PRIMARY KEY (channel, offset)) STRICT, WITHOUT ROWID;
  CREATE TABLE keys (channel INTEGER NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, offset INTEGER NOT NULL,
    id TEXT NOT NULL, PRIMARY KEY (channel, key)) STRICT, WITHOUT ROWID;
  CREATE INDEX keys_by_time ON keys (at);
  CREATE TABLE generations (bucket INTEGER PRIMARY KEY, generation INTEGER NOT NULL) STRICT;
  PRAGMA application_id = ${0x4c696674};
  PRAGMA user_version = 2;
  INSERT INTO life VALUES ('life-token');
  INSERT INTO channels VALUES (1, '"a"', 1, 1, 100, 300000, ${START}, 0);
  INSERT INTO messages VALUES (1, 1, ${START}, '{"id":"m1","data":"kept"}');`;

function request(id: string, overrides: Partial<NewRequest> = {}): NewRequest {
  return {
    ...{ owner: "ada", id, action: "report", input: { id }, tenant: "acme", identity: { userId: "ada" } },
    ...{ priority: 0, createdAt: START, dueAt: START, ...overrides },
  };
}

const LEASE = { now: START, leaseUntil: START + 1_000 };
const lease = (id: string, token = "t") => ({ owner: "ada", id, token });
const item = (offset: number) => ({
  ...{ offset, data: { text: `text ${offset}` }, chunks: offset, bytes: 8 * offset, at: START },
});

async function collect(requests: AsyncIterable<StoredRequest>): Promise<StoredRequest[]> {
  const found: StoredRequest[] = [];
  for await (const each of requests) found.push(each);
  return found;
}

const due = async (store: RequestStore, now = START) =>
  (await collect(store.listDue(now))).map(({ id }) => id);

function createStoreUnderTest() {
  let time = START;
  const now = () => time;
  const advance = (ms: number) => {
    time += ms;
  };
  return { store: open(newPath(), now).requests, now, advance };
}

requestStoreCases({ describe, it }, "sqlite requests", createStoreUnderTest);
requestStoreProperties("sqlite requests", createStoreUnderTest);

describe("SQLite requests in a file that is opened again", () => {
  it("are as they were, with inputs, checkpoints, output and results, and are claimable at once", async () => {
    const path = newPath();
    const { requests, close } = open(path);
    for (const id of ["waiting", "running", "completed", "failed", "cancelled"]) {
      await requests.create(request(id));
      if (id !== "waiting") await requests.claim(lease(id), LEASE);
      if (id !== "waiting") await requests.append(lease(id), item(1));
    }
    await requests.create(request("delayed", { dueAt: START + 500, tenant: "other" }));
    await requests.saveCheckpoint(lease("running"), { done: 1 });
    await requests.renew(lease("running"), { leaseUntil: START + 2_000, progress: { percentage: 50 } });
    await requests.finish(lease("completed"), { state: "COMPLETED", result: [1], expiresAt: 1e15 }, START);
    const failure = { code: "INTERNAL_ERROR", message: "no" };
    await requests.finish(lease("failed"), { state: "FAILED", failure, expiresAt: 1e15 }, START);
    await requests.cancel({ owner: "ada", id: "cancelled" }, { now: START, expiresAt: 1e15 });
    const all = await requests.list("ada", { limit: 100 });
    const listed = (await collect(requests.listOpen!())).map((each) =>
      each.id === "running" ? { ...each, leaseUntil: 0 } : each,
    );
    close();

    const again = open(path).requests;
    expect(await again.list("ada", { limit: 100 })).toStrictEqual({
      ...all,
      requests: all.requests.map((each) => (each.id === "running" ? { ...each, leaseUntil: 0 } : each)),
    });
    expect(await collect(again.listOpen!())).toStrictEqual(listed);
    expect(await again.readResult({ owner: "ada", id: "completed" })).toEqual({ result: [1] });
    expect((await collect(again.listFailed())).map(({ id }) => id)).toEqual(["failed"]);
    expect(await again.countOpen({ owner: "ada" }, 100)).toBe(3);
    expect(await again.countOpen({ tenant: "other" }, 100)).toBe(1);
    expect((await due(again)).sort()).toEqual(["running", "waiting"]);
    expect((await due(again, START + 500)).sort()).toEqual(["delayed", "running", "waiting"]);
    expect(await again.append(lease("running"), item(2))).toBe(true);
    const takeOver = { now: START + 2_000, leaseUntil: START + 3_000 };
    expect(await again.claim(lease("running", "t2"), takeOver)).toMatchObject({
      request: { attempt: 2, progress: { percentage: 50 } },
      input: { id: "running" },
      checkpoint: { done: 1 },
      output: { offset: 2, chunks: 2, bytes: 16 },
    });
  });

  it("continue an output of version 3, which did not count its bytes", async () => {
    const path = newPath();
    const { requests, close } = open(path);
    await requests.create(request("r1"));
    await requests.claim(lease("r1"), LEASE);
    await requests.append(lease("r1"), item(1));
    close();
    edit(path, (database) =>
      database.exec("ALTER TABLE request_output DROP COLUMN bytes; PRAGMA user_version = 3"),
    );
    const again = open(path).requests;
    const claimed = await again.claim(lease("r1", "t2"), LEASE);
    expect(claimed).toMatchObject({ output: { offset: 1, chunks: 1, bytes: 0 } });
    expect(await again.append(lease("r1", "t2"), item(2))).toBe(true);
    expect(await again.readOutput(lease("r1"), { after: 0, limit: 10 })).toEqual({
      head: { offset: 2, chunks: 2, bytes: 16 },
      items: [{ ...item(1), bytes: 0 }, item(2)],
      more: false,
    });
  });

  it("share the file of version 2 with the channels that it has", async () => {
    const path = newPath();
    edit(path, (database) => database.exec(VERSION_2));
    const { requests, history, close } = open(path);
    await requests.create(request("r1"));
    const query = { after: 0, limit: 10, retention: { size: 100, ageMs: 1e15 }, now: START };
    const page = await history.read("a", query);
    expect(page).toMatchObject({ head: { offset: 1 }, messages: [{ id: "m1", data: "kept" }] });
    close();
    const again = open(path);
    expect(await again.history.read("a", query)).toEqual(page);
    expect(await due(again.requests)).toEqual(["r1"]);
  });
});

describe("SQLite requests", () => {
  const GOOD = { owner: "ada", id: "good" };
  const BAD = { owner: "ada", id: "bad" };
  const failure = { code: "INTERNAL_ERROR", message: "no" };
  const badRow = (subject: string) => ({
    name: "StoreError",
    code: "BAD_ROW",
    message: `${subject} of request "bad" of "ada" is missing or malformed`,
  });

  /** Stores a good and a bad request, and runs SQL on the bad one. */
  async function openWithBadRow(
    sql: string,
    arrange: (store: RequestStore) => Promise<unknown> = async () => {},
  ): Promise<RequestStore> {
    const path = newPath();
    const first = open(path);
    await first.requests.create(request("good"));
    await first.requests.create(request("bad"));
    await arrange(first.requests);
    first.close();
    edit(path, (database) => database.exec(sql));
    return open(path).requests;
  }

  it.each([
    "details = 'x'",
    "details = '{}'",
    `details = '{"action":1,"identity":{}}'`,
    `details = '{"action":"a","identity":[]}'`,
    `details = '{"action":"a","identity":{},"requester":{"connectionId":"c"}}'`,
    `details = '{"action":"a","identity":{},"requester":{"endpoint":"e"}}'`,
    "state = 'LOST'",
    "state = 'PROCESSING'",
    "state = 'FAILED'",
    "lease_until = 1",
    "expires_at = 1e15",
    "tenant = 'x'",
    "token = 'x'",
    "token = '1'",
    "progress = '{}'",
    "failure = '{}'",
  ])("reject calls for a request whose row has %s, and no others", async (change) => {
    const store = await openWithBadRow(`UPDATE requests SET ${change} WHERE id = '"bad"'`);
    for (const call of [
      () => store.create(request("bad")),
      () => store.get(BAD),
      () => store.readResult(BAD),
      () => store.claim(lease("bad"), LEASE),
      () => store.renew(lease("bad"), LEASE),
      () => store.saveCheckpoint(lease("bad"), 1),
      () => store.append(lease("bad"), item(1)),
      () => store.readOutput(BAD, { after: 0, limit: 1 }),
      () => store.finish(lease("bad"), { state: "PENDING" }, START),
      () => store.cancel(BAD, { now: START, expiresAt: 1e15 }),
      () => store.redrive(BAD, START),
    ]) {
      const asked = await Promise.allSettled([call(), store.get(GOOD), store.renew(lease("good"), LEASE)]);
      expect(asked).toMatchObject([
        { status: "rejected", reason: badRow("The row") },
        { status: "fulfilled", value: GOOD },
        { status: "fulfilled", value: false },
      ]);
    }
    expect(await due(store)).toEqual(["good"]);
    expect((await store.list("ada", { limit: 10 })).requests).toMatchObject([GOOD]);
    expect(await collect(store.listOpen!())).toMatchObject([GOOD]);
    expect(await collect(store.listFailed())).toEqual([]);
  });

  it.each(["owner = 'x'", "owner = '7'", "id = 'x'", "id = '7'", "tenant = 'x'", "tenant = '7'"])(
    "are opened although a row has the malformed %s",
    async (change) => {
      const store = await openWithBadRow(`UPDATE requests SET ${change} WHERE id = '"bad"'`);
      expect(await due(store)).toEqual(["good"]);
      expect((await store.list("ada", { limit: 10 })).requests).toMatchObject([GOOD]);
    },
  );

  it.each(["owner", "id"])("list no failed request whose row has a malformed %s", async (column) => {
    const sql = `UPDATE requests SET ${column} = 'x' WHERE id = '"bad"'`;
    const store = await openWithBadRow(sql, async (requests) => {
      for (const id of ["good", "bad"]) {
        await requests.claim(lease(id), LEASE);
        await requests.finish(lease(id), { state: "FAILED", failure, expiresAt: 1e15 }, START);
      }
    });
    expect(await collect(store.listFailed())).toMatchObject([GOOD]);
  });

  it.each([
    ["DELETE FROM request_inputs", "The input"],
    ["UPDATE request_inputs SET json = 'x'", "The input"],
    ["UPDATE request_checkpoints SET json = 'x'", "The checkpoint"],
  ])("reject a claim after %s, and leave the request as it is", async (sql, subject) => {
    const store = await openWithBadRow(`${sql} WHERE request = 2`, async (requests) => {
      await requests.claim(lease("bad"), { now: START, leaseUntil: START });
      await requests.saveCheckpoint(lease("bad"), { done: 1 });
    });
    await expect(store.claim(lease("bad", "t2"), LEASE)).rejects.toMatchObject(badRow(subject));
    expect(await store.get(BAD)).toMatchObject({ state: "PROCESSING", attempt: 1 });
    expect(await store.claim(lease("good", "t2"), LEASE)).toMatchObject({ input: { id: "good" } });
  });

  it.each([
    ["DELETE FROM request_output WHERE offset = 2", "The output"],
    ["UPDATE request_output SET data = 'x' WHERE offset = 2", "The output item 2"],
    ["UPDATE request_output SET data = '7' WHERE offset = 3", "The output item 3"],
  ])("reject a read of the output after %s", async (sql, subject) => {
    const store = await openWithBadRow(sql, async (requests) => {
      await requests.claim(lease("bad"), LEASE);
      for (const offset of [1, 2, 3]) await requests.append(lease("bad"), item(offset));
    });
    const read = (after: number, limit: number) => store.readOutput(BAD, { after, limit });
    await expect(read(0, 10)).rejects.toMatchObject(badRow(subject));
    expect((await read(0, 1)).items).toEqual([item(1)]);
  });

  it.each(["DELETE FROM request_results", "UPDATE request_results SET json = 'x'"])(
    "reject a read of the result after %s",
    async (sql) => {
      const store = await openWithBadRow(sql, async (requests) => {
        await requests.claim(lease("bad"), LEASE);
        await requests.finish(lease("bad"), { state: "COMPLETED", result: 1, expiresAt: 1e15 }, START);
      });
      await expect(store.readResult(BAD)).rejects.toMatchObject(badRow("The result"));
    },
  );

  it("reject a request whose input is not JSON, and no others of its commit", async () => {
    const { requests } = open(newPath());
    const circle: { self?: object } = {};
    circle.self = circle;
    const asked = await Promise.allSettled([
      requests.create(request("bad", { input: circle as never })),
      requests.create(request("good")),
    ]);
    expect(asked.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect(await due(requests)).toEqual(["good"]);
  });

  it("list those that follow a page of malformed rows", async () => {
    const sql = `UPDATE requests SET details = 'x' WHERE created_at > ${START}`;
    const store = await openWithBadRow(sql, async (requests) => {
      for (const n of [1, 2, 3]) await requests.create(request(`r${n}`, { createdAt: START + n }));
    });
    const { requests, next } = await store.list("ada", { limit: 1 });
    expect(requests).toMatchObject([GOOD]);
    expect((await store.list("ada", { limit: 1, after: next })).requests).toMatchObject([BAD]);
  });

  it("keep a failure as it was when the attempt ended", async () => {
    const { requests } = open(newPath());
    await requests.create(request("r1"));
    await requests.claim(lease("r1"), LEASE);
    const own = { ...failure };
    const finished = requests.finish(lease("r1"), { state: "FAILED", failure: own, expiresAt: 1e15 }, START);
    own.message = "changed";
    await finished;
    expect(await requests.get(lease("r1"))).toMatchObject({ failure });
  });

  it("leave nothing of an expired request, also when its id is used again", async () => {
    const path = newPath();
    let time = START;
    const { requests, close } = open(path, () => time);
    const end = async (id: string) => {
      await requests.create(request(id));
      await requests.claim(lease(id), LEASE);
      await requests.saveCheckpoint(lease(id), 1);
      await requests.append(lease(id), item(1));
      await requests.finish(lease(id), { state: "COMPLETED", result: 1, expiresAt: time + 100 }, START);
    };
    await requests.create(request("open"));
    for (let n = 0; n < 40; n++) await end(`r${n}`);
    time += 100;
    await requests.create(request("r0"));
    for (let n = 0; n < 16; n++) await requests.create(request(`new${n}`));
    close();
    const rows = (table: string) =>
      edit(path, (database) => database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
    const tables = ["requests", "request_inputs", "request_checkpoints", "request_results", "request_output"];
    expect(tables.map(rows)).toEqual([18, 18, 0, 0, 0]);
  });

  it("drop the input and the checkpoint that no worker can need", async () => {
    const path = newPath();
    const { requests, close } = open(path);
    for (const id of ["completed", "cancelled", "failed"]) {
      await requests.create(request(id));
      await requests.claim(lease(id), LEASE);
      await requests.saveCheckpoint(lease(id), 1);
    }
    await requests.finish(lease("completed"), { state: "COMPLETED", result: 1, expiresAt: 1e15 }, START);
    await requests.cancel({ owner: "ada", id: "cancelled" }, { now: START, expiresAt: 1e15 });
    await requests.finish(lease("failed"), { state: "FAILED", failure, expiresAt: 1e15 }, START);
    close();
    for (const table of ["request_inputs", "request_checkpoints"]) {
      const rows = edit(path, (database) => database.prepare(`SELECT request FROM ${table}`).all());
      expect(rows).toEqual([{ request: 3 }]);
    }
  });

  it("list all failed requests, over several pages", async () => {
    const { requests } = open(newPath());
    const ids = Array.from({ length: 250 }, (_, n) => `r${n}`);
    await Promise.all(ids.map((id) => requests.create(request(id))));
    await Promise.all(ids.map((id) => requests.claim(lease(id), LEASE)));
    await Promise.all(
      ids.map((id) => requests.finish(lease(id), { state: "FAILED", failure, expiresAt: 1e15 }, START)),
    );
    expect((await collect(requests.listFailed())).map(({ id }) => id).sort()).toEqual(ids.sort());
  });

  it("are found by an index in every statement", () => {
    const path = newPath();
    open(path).close();
    edit(path, (database) => {
      for (const [name, sql] of Object.entries(REQUEST_SQL)) {
        const plan = database
          .prepare(`EXPLAIN QUERY PLAN ${sql}`)
          .all()
          .map(({ detail }) => String(detail));
        expect(
          plan.filter((step) => /^SCAN|TEMP B-TREE/.test(step)),
          name,
        ).toEqual([]);
      }
    });
  });

  it("reject calls after the store was closed", async () => {
    const { requests, close } = open(newPath());
    const waiting = requests.create(request("r1"));
    close();
    expect(await waiting).toMatchObject({ outcome: "created" });
    for (const call of [
      () => requests.create(request("r2")),
      () => requests.get(GOOD),
      () => requests.readResult(GOOD),
      () => requests.list("ada", { limit: 1 }),
      () => requests.countOpen({ owner: "ada" }, 1),
      () => collect(requests.listDue(START)),
      () => collect(requests.listOpen!()),
      () => collect(requests.listFailed()),
      () => requests.claim(lease("r1"), LEASE),
      () => requests.renew(lease("r1"), LEASE),
      () => requests.saveCheckpoint(lease("r1"), 1),
      () => requests.append(lease("r1"), item(1)),
      () => requests.readOutput(GOOD, { after: 0, limit: 1 }),
      () => requests.finish(lease("r1"), { state: "PENDING" }, START),
      () => requests.cancel(GOOD, { now: START, expiresAt: 1e15 }),
      () => requests.redrive(GOOD, START),
    ]) {
      await expect(call()).rejects.toMatchObject({ name: "StoreError", code: "STORE_REFUSED" });
    }
  });
});
