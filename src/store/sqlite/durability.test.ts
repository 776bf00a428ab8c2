// Tests cannot crash the machine, so these check SQLite's settings at each COMMIT.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sqliteChannelStore } from "./index.ts";

/** https://www.sqlite.org/pragma.html#pragma_synchronous */
const [NORMAL, FULL] = [1, 2];
const BOUNDS = { size: 9, ageMs: 1e9 };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lift-ws-durability-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Creates a store, and records its database's settings at each COMMIT. */
function open() {
  const commits: { readonly synchronous: number; readonly journal: string }[] = [];
  const exec = DatabaseSync.prototype.exec;
  const onCommit = { run: (_database: DatabaseSync): void => {} };
  vi.spyOn(DatabaseSync.prototype, "exec").mockImplementation(function (this: DatabaseSync, sql: string) {
    if (sql === "COMMIT") {
      const { synchronous } = this.prepare("PRAGMA synchronous").get() ?? {};
      const { journal_mode: journal } = this.prepare("PRAGMA journal_mode").get() ?? {};
      commits.push({ synchronous: Number(synchronous), journal: String(journal) });
      onCommit.run(this);
    }
    exec.call(this, sql);
  });
  const store = sqliteChannelStore({ path: join(folder, "channels.db") });
  commits.length = 0;
  const append = (id: string) => store.history.append("a", { id, data: id, at: 1 }, BOUNDS);
  const ids = async () => {
    const page = await store.history.read("a", { limit: 9, retention: BOUNDS, now: 2 });
    return page.messages.map((message) => message.id);
  };
  return { ...store, commits, onCommit, append, ids };
}

describe("a commit of SQLite", () => {
  it("waits for the disk after an append, but not after markDelivered alone", async () => {
    const { history, append, commits, close } = open();
    await append("m1");
    await history.markDelivered("a", 1);
    await history.checkpoint("a", 1, "here");
    await append("m2");
    await Promise.all([history.markDelivered("a", 2), append("m3")]);
    await history.markDelivered("a", 3);
    expect(commits.map(({ synchronous }) => synchronous)).toEqual([FULL, NORMAL, NORMAL, FULL, FULL, NORMAL]);
    expect(new Set(commits.map(({ journal }) => journal))).toEqual(new Set(["wal"]));
    close();
  });

  it("waits for the disk after appendAfter", async () => {
    const { history, commits, close } = open();
    const head = await history.readHead("a");
    await history.markDelivered("a", 1);
    await history.appendAfter("a", head, { id: "m1", data: 1, at: 1 }, BOUNDS);
    expect(commits.map(({ synchronous }) => synchronous)).toEqual([NORMAL, FULL]);
    close();
  });

  it("does not wait for the disk after the last member of a channel has left", async () => {
    const { members, append, commits, close } = open();
    await append("m1");
    await members.add("a", { connectionId: "c1", endpoint: "https://x", joinedAt: 1, expiresAt: 1e15 });
    await members.remove("a", "c1");
    await turn();
    expect(commits.map(({ synchronous }) => synchronous)).toEqual([FULL, NORMAL]);
    close();
  });

  it("waits for the disk after each write of a request that must survive, but not after claims and renewals", async () => {
    const { requests, commits, close } = open();
    const key = { owner: "ada", id: "r1" };
    const lease = { ...key, token: "t1" };
    const claim = { now: 1, leaseUntil: 2 };
    const fields = { action: "report", input: 1, tenant: "acme", identity: {}, priority: 0 };
    const failure = { code: "INTERNAL_ERROR", message: "no" };
    const calls: readonly (readonly [number, () => Promise<unknown>])[] = [
      [FULL, () => requests.create({ ...key, ...fields, createdAt: 1, dueAt: 1 })],
      [NORMAL, () => requests.claim(lease, claim)],
      [FULL, () => requests.append(lease, { offset: 1, data: { text: "one" }, chunks: 1, bytes: 5, at: 1 })],
      [NORMAL, () => requests.renew(lease, claim)],
      [FULL, () => requests.saveCheckpoint(lease, 1)],
      [NORMAL, () => requests.renew(lease, claim)],
      [FULL, () => requests.finish(lease, { state: "FAILED", failure, expiresAt: 1e15 }, 1)],
      [NORMAL, () => requests.renew(lease, claim)],
      [FULL, () => requests.redrive(key, 1)],
      [NORMAL, () => requests.claim({ ...lease, token: "t2" }, claim)],
      [FULL, () => requests.cancel(key, { now: 1, expiresAt: 1e15 })],
    ];
    for (const [, call] of calls) expect(await call()).not.toBeUndefined();
    expect(commits.map(({ synchronous }) => synchronous)).toEqual(calls.map(([setting]) => setting));
    close();
  });

  it("counts and lists no request whose commit failed", async () => {
    const { requests, onCommit, close } = open();
    const fields = { owner: "ada", action: "report", input: 1, tenant: "acme", identity: {}, priority: 0 };
    const create = (id: string) => requests.create({ ...fields, id, createdAt: 1, dueAt: 1 });
    await create("r1");
    onCommit.run = () => fail(13);
    const lease = { owner: "ada", id: "r1", token: "t1" };
    const refused = [create("r2"), requests.claim(lease, { now: 1, leaseUntil: 1e15 })];
    for (const { status } of await Promise.allSettled(refused)) expect(status).toBe("rejected");
    onCommit.run = () => {};
    expect(await requests.countOpen({ owner: "ada" }, 9)).toBe(1);
    const due: string[] = [];
    for await (const { id } of requests.listDue(1)) due.push(id);
    expect(due).toEqual(["r1"]);
    close();
  });

  it("ends before an append resolves", async () => {
    const { append, onCommit, close } = open();
    const order: string[] = [];
    onCommit.run = () => {
      order.push("commit");
    };
    await append("m1").then(() => order.push("resolved"));
    expect(order).toEqual(["commit", "resolved"]);
    close();
  });

  it("leaves the log as it is while nothing has replaced the file", async () => {
    const { append, ids, close } = open();
    const { calls } = vi.mocked(DatabaseSync.prototype.exec).mock;
    await append("m1");
    await ids();
    expect(calls.filter(([sql]) => sql.includes("wal_checkpoint"))).toEqual([]);
    close();
  });

  it("is scheduled once per turn with writes, and never without", async () => {
    const { append, close } = open();
    const immediates = vi.spyOn(globalThis, "setImmediate");
    await Promise.all([append("m1"), append("m2")]);
    for (let turns = 0; turns < 3; turns++) await turn();
    expect(immediates).toHaveBeenCalledTimes(1);
    close();
  });

  it.each([13, 10])("rejects its appends and stores none after SQLite's error %i", async (errcode) => {
    const { append, ids, onCommit, close } = open();
    await append("m1");
    onCommit.run = () => fail(errcode);
    const outcomes = await Promise.allSettled([append("m2"), append("m3")]);
    onCommit.run = () => {};
    const rejected = { status: "rejected", reason: { code: "STORE_UNAVAILABLE" } };
    expect(outcomes).toMatchObject([rejected, rejected]);
    expect(await ids()).toEqual(["m1"]);
    expect(await append("m4")).toMatchObject({ message: { offset: 2 } });
    close();
  });

  it("retries each append alone after SQLite refuses the commit", async () => {
    const { append, ids, onCommit, commits, close } = open();
    onCommit.run = () => {
      onCommit.run = () => {};
      fail(8);
    };
    await Promise.all([append("m1"), append("m2")]);
    expect(commits).toHaveLength(3);
    expect(await ids()).toEqual(["m1", "m2"]);
    close();
  });
});

function fail(errcode: number): never {
  throw Object.assign(new Error("The disk"), { errcode });
}
