import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { requestStoreCases } from "../contracts/cases.ts";
import type { NewRequest, RequestStore, StoredRequest } from "../index.ts";
import { type SqliteChannelStore, sqliteChannelStore } from "./index.ts";

const START = Date.UTC(2026, 0, 1);
const folder = mkdtempSync(join(tmpdir(), "lift-ws-sqlite-requests-"));
const opened: SqliteChannelStore[] = [];
let files = 0;

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

const newPath = () => join(folder, `${files++}.db`);

function open(path: string, now: () => number = () => START): SqliteChannelStore {
  const store = sqliteChannelStore({ path, now });
  opened.push(store);
  return store;
}

/** Changes the file while no store has it open. */
function meddle<Value>(path: string, work: (database: DatabaseSync) => Value): Value {
  const database = new DatabaseSync(path);
  try {
    return work(database);
  } finally {
    database.close();
  }
}

function request(id: string, overrides: Partial<NewRequest> = {}): NewRequest {
  return {
    ...{ owner: "ada", id, action: "report", input: { id }, tenant: "acme", identity: { userId: "ada" } },
    ...{ priority: 0, createdAt: START, dueAt: START, ...overrides },
  };
}

const LEASE = { now: START, leaseUntil: START + 1_000 };
const lease = (id: string, token = "t") => ({ owner: "ada", id, token });
const item = (offset: number) => ({ offset, data: { text: `text ${offset}` }, chunks: offset, at: START });

async function collect(requests: AsyncIterable<StoredRequest>): Promise<StoredRequest[]> {
  const found: StoredRequest[] = [];
  for await (const each of requests) found.push(each);
  return found;
}

const due = async (store: RequestStore, now = START) =>
  (await collect(store.listDue(now))).map(({ id }) => id);

afterEach(() => {
  for (const store of opened.splice(0)) store.close();
});

afterAll(() => rmSync(folder, { recursive: true }));

function createStoreUnderTest() {
  let time = START;
  const now = () => time;
  const advance = (ms: number) => {
    time += ms;
  };
  return { store: open(newPath(), now).requests, now, advance };
}

requestStoreCases({ describe, it }, "sqlite requests", createStoreUnderTest);

describe("SQLite requests in a file that is opened again", () => {
  it("are as they were, with inputs, checkpoints, output, results and leases", async () => {
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
    const listed = await collect(requests.listOpen!());
    close();

    const again = open(path).requests;
    expect(await again.list("ada", { limit: 100 })).toStrictEqual(all);
    expect(await collect(again.listOpen!())).toStrictEqual(listed);
    expect(await again.readResult({ owner: "ada", id: "completed" })).toEqual({ result: [1] });
    expect((await collect(again.listFailed())).map(({ id }) => id)).toEqual(["failed"]);
    expect(await again.countOpen({ owner: "ada" }, 100)).toBe(3);
    expect(await again.countOpen({ tenant: "other" }, 100)).toBe(1);
    expect(await due(again)).toEqual(["waiting"]);
    expect(await due(again, START + 1_999)).toEqual(["waiting", "delayed"]);
    expect((await due(again, START + 2_000)).sort()).toEqual(["delayed", "running", "waiting"]);
    expect(await again.append(lease("running"), item(2))).toBe(true);
    const takeOver = { now: START + 2_000, leaseUntil: START + 3_000 };
    expect(await again.claim(lease("running", "t2"), takeOver)).toMatchObject({
      request: { attempt: 2, progress: { percentage: 50 } },
      input: { id: "running" },
      checkpoint: { done: 1 },
      output: { offset: 2, chunks: 2 },
    });
  });

  it("share the file of version 2 with the channels that it has", async () => {
    const path = newPath();
    meddle(path, (database) => database.exec(VERSION_2));
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
