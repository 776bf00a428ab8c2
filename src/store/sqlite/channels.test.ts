import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it, vi } from "vitest";
import { channelStoreProperties } from "../../../test/stores/channel-store-properties.ts";
import { sqliteFiles } from "../../../test/stores/sqlite-files.ts";
import { channelStoreCases } from "../contracts/cases.ts";
import { deriveEpoch } from "../contracts/epoch.ts";
import type { ChannelHistory, NewMessage, PendingFanOut, Retention } from "../index.ts";
import { MEMBERS_PER_PAGE } from "../memory/channel-members.ts";
import { toStoreError } from "./errors.ts";
import { sqliteChannelStore } from "./index.ts";

const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const BOUNDS: Retention = { size: 100, ageMs: 5 * MINUTE };
const { folder, newPath, open, edit } = sqliteFiles();

/** A file with one message, as version 0.1 of the package wrote it. */
const VERSION_1 = `
  CREATE TABLE life (token TEXT NOT NULL) STRICT;
  CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, head INTEGER NOT NULL,
    first INTEGER NOT NULL, size REAL NOT NULL, age_ms REAL NOT NULL) STRICT;
  CREATE TABLE messages (channel INTEGER NOT NULL, offset INTEGER NOT NULL, at REAL NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (channel, offset)) STRICT, WITHOUT ROWID;
  CREATE TABLE unfinished (channel INTEGER NOT NULL, offset INTEGER NOT NULL, cursor TEXT,
    PRIMARY KEY (channel, offset)) STRICT, WITHOUT ROWID;
  CREATE TABLE keys (channel INTEGER NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, offset INTEGER NOT NULL,
    id TEXT NOT NULL, PRIMARY KEY (channel, key)) STRICT, WITHOUT ROWID;
  CREATE INDEX keys_by_time ON keys (at);
  PRAGMA application_id = ${0x4c696674};
  PRAGMA user_version = 1;
  INSERT INTO life VALUES ('life-token');
  INSERT INTO channels VALUES (1, '"a"', 1, 1, 100, 300000);
  INSERT INTO messages VALUES (1, 1, ${START}, '{"id":"m1","data":"kept"}');`;

/** The superuser can write everything. */
function asOrdinaryUser(work: () => void): void {
  const isSuperuser = process.geteuid!() === 0;
  if (isSuperuser) process.seteuid!(65_534);
  try {
    work();
  } finally {
    if (isSuperuser) process.seteuid!(0);
  }
}

function createStoreUnderTest() {
  let time = START;
  const now = () => time;
  const advance = (ms: number) => {
    time += ms;
  };
  return { store: open(newPath(), { now }), now, advance, membersPerPage: MEMBERS_PER_PAGE };
}

channelStoreCases({ describe, it }, "sqlite channels", createStoreUnderTest);
channelStoreProperties("sqlite channels", createStoreUnderTest);

const message = (id: string, overrides: Partial<NewMessage> = {}): NewMessage => ({
  id,
  data: { id },
  at: START,
  ...overrides,
});

const read = (history: ChannelHistory, channel: string, retention = BOUNDS, now = START) =>
  history.read(channel, { after: 0, limit: 1_000, retention, now });

async function unfinished(history: ChannelHistory): Promise<PendingFanOut[]> {
  const found: PendingFanOut[] = [];
  for await (const each of history.listPendingFanOuts(Number.MAX_SAFE_INTEGER)) found.push(each);
  return found;
}

describe("a SQLite store that is opened again", () => {
  it("restores messages, epochs, heads, keys, pending fan-outs and their cursors", async () => {
    const path = newPath();
    const first = open(path);
    for (let n = 1; n <= 3; n++) {
      await first.history.append("a", message(`m${n}`, { userId: "ada", key: `k${n}` }), BOUNDS);
    }
    await first.history.markDelivered("a", 1);
    await first.history.checkpoint("a", 2, "here");
    const unused = await first.history.readHead("unused");
    const page = await read(first.history, "a");
    const left = await unfinished(first.history);
    first.close();

    const { history } = open(path);
    expect(await read(history, "a")).toStrictEqual(page);
    expect(await unfinished(history)).toStrictEqual(left);
    expect(left.map(({ cursor }) => cursor)).toEqual(["here", undefined]);
    expect(await history.readHead("unused")).toEqual(unused);
    expect(await history.append("a", message("m4", { key: "k3" }), BOUNDS)).toMatchObject({
      duplicate: true,
      message: { id: "m3", offset: 3 },
    });
    expect(await history.append("a", message("m4"), BOUNDS)).toMatchObject({
      epoch: page.head.epoch,
      message: { offset: 4 },
    });
  });

  it("starts new epochs when the file has another store id", async () => {
    const path = newPath();
    const first = open(path);
    const { epoch } = await first.history.append("a", message("m1"), BOUNDS);
    first.close();
    edit(path, (database) => database.exec("UPDATE life SET token = 'another'"));
    const { history } = open(path);
    const head = await history.readHead("a");
    expect(head).toMatchObject({ offset: 1 });
    expect(head.epoch).not.toBe(epoch);
    expect(await history.append("a", message("m2"), BOUNDS)).toMatchObject({ epoch: head.epoch });
  });

  it("has no members", async () => {
    const path = newPath();
    const first = open(path);
    const member = { connectionId: "c1", userId: "ada", endpoint: "https://x", joinedAt: 0, expiresAt: 1e15 };
    await first.members.add("a", member);
    first.close();
    const { members } = open(path);
    expect(await members.count("a", START)).toBe(0);
    expect(await members.add("a", member)).toBe(true);
  });

  it("finishes calls made before it was closed, and rejects later ones", async () => {
    const path = newPath();
    const first = open(path);
    const asked = [first.history.append("a", message("m1"), BOUNDS), first.history.markDelivered("a", 1)];
    first.close();
    first.close();
    await Promise.all(asked);
    for (const call of [
      () => first.history.append("a", message("m2"), BOUNDS),
      () => first.history.readHead("a"),
      () => read(first.history, "a"),
      () => first.history.markDelivered("a", 1),
      () => first.history.checkpoint("a", 1, "x"),
      () => unfinished(first.history),
    ]) {
      await expect(call()).rejects.toMatchObject({
        name: "StoreError",
        code: "STORE_REFUSED",
        message: `${path} is closed`,
      });
    }
    const { history } = open(path);
    expect(await history.readHead("a")).toMatchObject({ offset: 1 });
    expect(await unfinished(history)).toEqual([]);
  });
});

describe("a SQLite store", () => {
  it("evicts messages past their retention on append, also of silent channels, and keeps pending fan-outs", async () => {
    const path = newPath();
    const { history, close } = open(path);
    const retention = { size: 10, ageMs: MINUTE };
    for (let n = 0; n < 6; n++) await history.append(`silent${n}`, message("m", { key: "k" }), retention);
    for (let n = 1; n < 6; n++) await history.markDelivered(`silent${n}`, 1);
    const later = START + 10 * MINUTE;
    for (let n = 1; n <= 256; n++) {
      await history.append("a", message(`m${n}`, { at: later }), retention);
      await history.markDelivered("a", n);
    }
    close();
    const rows = (sql: string) => edit(path, (database) => database.prepare(sql).all());
    expect(
      rows("SELECT name, offset FROM messages JOIN channels ON id = channel WHERE name <> '\"a\"'"),
    ).toEqual([{ name: '"silent0"', offset: 1 }]);
    expect(rows("SELECT offset FROM messages WHERE channel = 7").map(({ offset }) => offset)).toEqual(
      Array.from({ length: 10 }, (_, n) => 247 + n),
    );
    expect(rows("SELECT key FROM keys")).toEqual([]);
    const { history: again, close: closeAgain } = open(path);
    expect(await read(again, "silent0", { size: 10, ageMs: 1e15 })).toMatchObject({
      messages: [],
      head: { offset: 1 },
    });
    await again.markDelivered("silent0", 1);
    closeAgain();
    expect(rows("SELECT offset FROM messages WHERE channel = 1")).toEqual([]);
  });

  it("drops channels that are idle past their history's age, and starts another epoch, also when opened again", async () => {
    const path = newPath();
    let time = START;
    const now = () => time;
    const { history, close } = open(path, { now });
    const retention = { size: 10, ageMs: 10 * MINUTE };
    const deliver = async (channel: string, count: number) => {
      const appends = Array.from({ length: count }, (_, n) =>
        history.append(channel, message(`m${n}`, { at: time, key: `${time} ${n}` }), retention),
      );
      const appended = await Promise.all(appends);
      await Promise.all(appended.map((each) => history.markDelivered(channel, each.message.offset)));
      return appended[0]!.epoch;
    };
    const names = Array.from({ length: 100 }, (_, n) => `room${n}`);
    const epochs = await Promise.all(names.map((name) => deliver(name, 1)));
    time += 10 * MINUTE - 1;
    await deliver("other", 640);
    expect(await history.readHead("room0")).toEqual({ epoch: epochs[0], offset: 1 });
    time += 1;
    await deliver("other", 640);
    const heads = await Promise.all(names.map((name) => history.readHead(name)));
    for (const [n, { epoch, offset }] of heads.entries()) {
      expect(epoch).not.toBe(epochs[n]);
      expect(offset).toBe(0);
    }
    close();
    const [count] = edit(path, (database) => database.prepare("SELECT count(*) AS n FROM channels").all());
    expect(count?.n).toBe(1);
    const again = open(path, { now }).history;
    expect(await Promise.all(names.map((name) => again.readHead(name)))).toEqual(heads);
    expect((await again.append("room0", message("m"), retention)).epoch).toBe(heads[0]!.epoch);
  });

  it("drops an idle channel after its last member has left", async () => {
    let time = START;
    const { history, members } = open(newPath(), { now: () => time });
    const deliver = async (channel: string) => {
      const sent = message("m", { at: time });
      const { message: stored } = await history.append(channel, sent, { size: 1, ageMs: 1 });
      await history.markDelivered(channel, stored.offset);
    };
    await deliver("a");
    const member = { connectionId: "c1", endpoint: "https://x", joinedAt: START, expiresAt: 1e15 };
    await members.add("a", member);
    await members.remove("a", "c1");
    // Commits the time at which the member left.
    await history.markDelivered("a", 1);
    time += 5 * MINUTE;
    for (let n = 0; n < 64; n++) await deliver("other");
    expect(await history.readHead("a")).toMatchObject({ offset: 0 });
  });

  it("keeps an idle channel until a message that is dated ahead has expired", async () => {
    let time = START;
    const { history } = open(newPath(), { now: () => time });
    const retention = { size: 10, ageMs: 10 * MINUTE };
    await history.append("a", message("m", { at: START + MINUTE }), retention);
    await history.markDelivered("a", 1);
    const appendToOther = async () => {
      for (let n = 0; n < 64; n++) await history.append("other", message(`m${n}`, { at: time }), retention);
    };
    time += 11 * MINUTE - 1;
    await appendToOther();
    expect(await history.readHead("a")).toMatchObject({ offset: 1 });
    time += 1;
    await appendToOther();
    expect(await history.readHead("a")).toMatchObject({ offset: 0 });
  });

  it("returns the data of a duplicate while its message is kept", async () => {
    const { history } = open(newPath());
    const retention = { size: 1, ageMs: MINUTE };
    const first = message("m1", { key: "k" });
    const { message: stored } = await history.append("a", first, retention);
    expect((await history.append("a", message("again", { key: "k" }), retention)).message).toEqual(stored);
    await history.markDelivered("a", 1);
    for (let n = 2; n <= 64; n++) await history.append("a", message(`m${n}`), retention);
    expect((await history.append("a", message("again", { key: "k" }), retention)).message).toEqual({
      id: "m1",
      data: null,
      at: START,
      offset: 1,
    });
  });

  it("does not count time while closed as idle, because members could not return", async () => {
    const path = newPath();
    const retention = { size: 10, ageMs: MINUTE };
    const first = open(path, { now: () => START });
    const { epoch } = await first.history.append("a", message("m1", { at: START }), retention);
    await first.history.markDelivered("a", 1);
    first.close();
    const { history } = open(path, { now: () => START + 60 * MINUTE });
    for (let n = 0; n < 130; n++) {
      await history.append("other", message(`m${n}`, { at: START + 60 * MINUTE }), retention);
    }
    expect(await history.readHead("a")).toEqual({ epoch, offset: 1 });
  });

  it("opens a file of version 1, whose channels keep their epochs", async () => {
    const path = newPath();
    edit(path, (database) => database.exec(VERSION_1));
    const { history } = open(path, { now: () => START });
    expect(await read(history, "a", { size: 100, ageMs: 1e15 })).toMatchObject({
      head: { epoch: deriveEpoch("life-token", "a"), offset: 1 },
      messages: [{ id: "m1", data: "kept" }],
    });
    expect(await history.readHead("never used")).toEqual({
      epoch: deriveEpoch("life-token", "never used"),
      offset: 0,
    });
    const { epoch, message: stored } = await history.append("a", message("m2"), BOUNDS);
    expect([epoch, stored.offset]).toEqual([deriveEpoch("life-token", "a"), 2]);
  });

  it("evicts messages of a busy channel among many others", async () => {
    const path = newPath();
    const { history, close } = open(path);
    const retention = { size: 10, ageMs: MINUTE };
    const others = Array.from({ length: 40 }, (_, n) => `other${n}`);
    await Promise.all(others.map((channel) => history.append(channel, message("m"), retention)));
    for (let n = 1; n <= 192; n++) {
      await history.append("hot", message(`m${n}`), retention);
      await history.markDelivered("hot", n);
    }
    close();
    const [row] = edit(path, (database) =>
      database.prepare("SELECT count(*) AS kept FROM messages WHERE channel = 41").all(),
    );
    expect(row?.kept).toBeLessThanOrEqual(10 + 64);
  });

  it("evicts messages of a silent channel after many that keep theirs", async () => {
    const path = newPath();
    const { history, close } = open(path);
    for (let n = 0; n < 40; n++) await history.append(`other${n}`, message("m"), { size: 10, ageMs: 1e15 });
    const retention = { size: 10, ageMs: MINUTE };
    await history.append("silent", message("m"), retention);
    await history.markDelivered("silent", 1);
    const later = { at: START + MINUTE };
    for (let n = 0; n < 128; n++) await history.append("busy", message(`m${n}`, later), retention);
    close();
    const rows = edit(path, (database) =>
      database.prepare("SELECT offset FROM messages WHERE channel = 41").all(),
    );
    expect(rows).toEqual([]);
  });

  it("rejects only the append that cannot be written, not others of its commit", async () => {
    const path = newPath();
    const first = open(path);
    await first.history.append("broken", message("m1"), BOUNDS);
    first.close();
    edit(path, (database) => database.exec("INSERT INTO messages VALUES (1, 2, 0, '{}')"));
    const { history } = open(path);
    const asked = await Promise.allSettled(
      ["a", "broken", "b"].map((channel) => history.append(channel, message("m"), BOUNDS)),
    );
    expect(asked).toMatchObject([
      { status: "fulfilled", value: { message: { offset: 1 } } },
      { status: "rejected", reason: { name: "StoreError", code: "STORE_REFUSED" } },
      { status: "fulfilled", value: { message: { offset: 1 } } },
    ]);
    expect(await history.readHead("broken")).toMatchObject({ offset: 1 });
  });

  it("rejects only the append whose data is not JSON", async () => {
    const { history } = open(newPath());
    const circle: { self?: object } = {};
    circle.self = circle;
    const asked = await Promise.allSettled([
      history.append("a", message("bad", { data: circle as never }), BOUNDS),
      history.append("a", message("good"), BOUNDS),
    ]);
    expect(asked.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect((await read(history, "a")).messages).toMatchObject([{ id: "good", offset: 1 }]);
  });

  it.each([
    ["UPDATE messages SET body = 'x' WHERE offset = 2", 'Message 2 of channel "a"'],
    ["UPDATE messages SET body = 'null' WHERE offset = 2", 'Message 2 of channel "a"'],
    ['UPDATE messages SET body = \'{"id":7,"data":1}\' WHERE offset = 1', 'Message 1 of channel "a"'],
    ['UPDATE messages SET body = \'{"id":"m"}\' WHERE offset = 3', 'Message 3 of channel "a"'],
    ["DELETE FROM messages WHERE offset = 2", 'Message 2 of channel "a"'],
    ["DELETE FROM messages WHERE offset = 3", 'Message 3 of channel "a"'],
    ["UPDATE channels SET first = 9", 'Channel "a"'],
    ["UPDATE channels SET first = 0", 'Channel "a"'],
  ])("names the bad row after %s", async (sql, row) => {
    const path = newPath();
    const first = open(path);
    for (let n = 1; n <= 3; n++) await first.history.append("a", message(`m${n}`), BOUNDS);
    first.close();
    edit(path, (database) => database.exec(sql));
    const { history } = open(path);
    await expect(read(history, "a")).rejects.toMatchObject({
      name: "StoreError",
      code: "BAD_ROW",
      message: `${row} is missing or malformed`,
    });
  });

  it.each([
    ["UPDATE unfinished SET cursor = 'x'", 'The cursor of message 1 of channel "a"'],
    ["DELETE FROM messages", 'Message 1 of channel "a"'],
    ["DELETE FROM channels", "Channel 1"],
  ])("names the bad row of a fan-out after %s", async (sql, row) => {
    const path = newPath();
    const first = open(path);
    await first.history.append("a", message("m1"), BOUNDS);
    first.close();
    edit(path, (database) => database.exec(sql));
    await expect(unfinished(open(path).history)).rejects.toMatchObject({
      code: "BAD_ROW",
      message: `${row} is missing or malformed`,
    });
  });

  it("lists more pending fan-outs than one page", async () => {
    const { history } = open(newPath());
    const ids = Array.from({ length: 250 }, (_, n) => `m${n}`);
    await Promise.all(ids.map((id, n) => history.append(`c${n % 7}`, message(id), BOUNDS)));
    expect((await unfinished(history)).map((each) => each.message.id).sort()).toEqual(ids.sort());
  });
});

describe("opening a SQLite store", () => {
  const refused = (code: string, words: string) =>
    expect.objectContaining({ name: "StoreError", code, message: expect.stringContaining(words) });

  it("rejects a file that is not a database, and does not change it", () => {
    const path = newPath();
    writeFileSync(path, "Dear diary, ".repeat(100));
    expect(() => open(path)).toThrow(refused("STORE_REFUSED", "is not a database"));
  });

  it.each(["CREATE TABLE theirs (a)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"])(
    "rejects another program's database, made by %s, and does not change it",
    (sql) => {
      const path = newPath();
      edit(path, (database) => database.exec(sql));
      const content = readFileSync(path);
      expect(() => open(path)).toThrow(refused("STORE_REFUSED", "another program"));
      expect(readFileSync(path)).toEqual(content);
    },
  );

  it("rejects a database of a later version", () => {
    const path = newPath();
    open(path).close();
    edit(path, (database) => database.exec("PRAGMA user_version = 5"));
    expect(() => open(path)).toThrow(refused("STORE_REFUSED", "later version"));
  });

  it("rejects a file that another process has open, and opens it afterwards", () => {
    const path = newPath();
    open(path).close();
    edit(path, (database) => {
      database.exec("BEGIN EXCLUSIVE");
      expect(() => open(path)).toThrow(refused("STORE_UNAVAILABLE", "in use by another process"));
    });
    open(path);
  });

  it("shares one store per path until all callers have closed it", async () => {
    const path = newPath();
    const [first, second] = [open(path), open(join(folder, "..", basename(folder), basename(path)))];
    await first.history.append("a", message("m1"), BOUNDS);
    const member = { connectionId: "c1", endpoint: "https://x", joinedAt: 0, expiresAt: 1e15 };
    await first.members.add("a", member);
    first.close();
    first.close();
    expect(await second.history.append("a", message("m2"), BOUNDS)).toMatchObject({ message: { offset: 2 } });
    expect(await second.members.count("a", START)).toBe(1);
    second.close();
    await expect(second.history.readHead("a")).rejects.toMatchObject({ code: "STORE_REFUSED" });
    expect(await open(path).history.readHead("a")).toMatchObject({ offset: 2 });
  });

  it("reports immediately that another process has the file open", () => {
    const path = newPath();
    open(path).close();
    edit(path, (database) => {
      database.exec("BEGIN EXCLUSIVE");
      const waits = vi.fn();
      class Waiting extends DatabaseSync {
        constructor(file: string, options: { timeout?: number }) {
          super(file, options);
          waits(options.timeout);
        }
      }
      const builtin = vi.spyOn(process, "getBuiltinModule").mockReturnValue({ DatabaseSync: Waiting });
      expect(() => sqliteChannelStore({ path })).toThrow(refused("STORE_UNAVAILABLE", `${path} is in use`));
      builtin.mockRestore();
      expect(waits).toHaveBeenCalledWith(0);
    });
  });

  it("names the missing folder to create", () => {
    const missing = join(folder, "nowhere");
    expect(() => open(join(missing, "a.db"))).toThrow(refused("STORE_REFUSED", `create ${missing}`));
  });

  it("reports a path that is a folder", () => {
    expect(() => open(folder)).toThrow(
      refused("STORE_REFUSED", `${folder} is a folder: use the path of a file`),
    );
  });

  it("reports a damaged file", () => {
    const path = newPath();
    open(path).close();
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.fill(0xff, 100, 2_000));
    expect(() => open(path)).toThrow(refused("STORE_REFUSED", `${path} is damaged: restore a backup`));
  });

  it("rejects a file without its store id, and opens it once it has one", () => {
    const path = newPath();
    open(path).close();
    edit(path, (database) => database.exec("DELETE FROM life"));
    expect(() => open(path)).toThrow(refused("BAD_ROW", `${path}: the row of table life`));
    edit(path, (database) => database.exec("INSERT INTO life VALUES ('another')"));
    open(path);
  });

  // Windows has no `seteuid`, which turns the superuser into an ordinary user here.
  it.skipIf(process.platform === "win32")("says what to make writable", () => {
    chmodSync(folder, 0o755);
    const file = newPath();
    open(file).close();
    chmodSync(file, 0o444);
    const unreadable = newPath();
    open(unreadable).close();
    chmodSync(unreadable, 0o000);
    const missing = join(folder, "read-only", "a.db");
    mkdirSync(dirname(missing), { mode: 0o555 });
    asOrdinaryUser(() => {
      for (const path of [file, unreadable, missing]) {
        expect(() => open(path)).toThrow(refused("STORE_REFUSED", path));
        expect(() => open(path)).toThrow(refused("STORE_REFUSED", "writable for this user"));
      }
    });
  });

  it.each([3, 5, 6, 8, 10, 11, 13, 14, 26])(
    "names the path and a remedy after SQLite's error %i",
    (errcode) => {
      const path = join(folder, "any.db");
      const { message, cause } = toStoreError({ errcode: errcode | 0x200 }, path);
      expect(message).toMatch(/^\/.*any\.db [^:]+: [^:]+$/);
      expect(cause).toEqual({ errcode: errcode | 0x200 });
    },
  );

  it("reports that the memory is exhausted as a failure that may pass", () => {
    const path = join(folder, "any.db");
    expect(toStoreError({ errcode: 7 }, path)).toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: `${path} needs more memory than is available`,
    });
  });

  it("names the missing folder only after an error of opening the file", () => {
    const path = join(folder, "nowhere", "any.db");
    expect(toStoreError({ errcode: 13 }, path).message).toContain("has no space left on its disk");
  });

  it.each([
    [{}, "`path` is required"],
    [{ path: "" }, "`path` must be"],
    [{ path: "a\u0000b" }, "`path` must be"],
    [{ path: ":memory:" }, "`path` must be"],
    [{ path: 7 }, "`path` must be"],
    [{ path: "a", busyTimeoutMs: -1 }, "`busyTimeoutMs` must be"],
    [{ path: "a", now: 0 }, "`now` must be"],
    [{ path: "a", file: "b" }, "Unknown option `file`"],
  ])("rejects the options %j", (options, words) => {
    expect(() => sqliteChannelStore(options as never)).toThrow(refused("INVALID_OPTION", words));
  });

  it("hides only its own experimental warning", () => {
    const { emitWarning } = process;
    open(newPath());
    expect(process.emitWarning).toBe(emitWarning);
  });
});
