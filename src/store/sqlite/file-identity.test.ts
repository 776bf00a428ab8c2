import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { START, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { codeBlocks } from "../../../test/support/markdown.ts";
import { type SqliteChannelStore, sqliteChannelStore } from "./index.ts";

const BOUNDS = { size: 100, ageMs: 1e15 };
const opened: SqliteChannelStore[] = [];
let folder: string;
let path: string;
let backup: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lift-ws-identity-"));
  path = join(folder, "channels.db");
  backup = join(folder, "backup.db");
});
afterEach(() => {
  for (const store of opened.splice(0)) store.close();
  rmSync(folder, { recursive: true });
});

function open(file = path): SqliteChannelStore {
  const store = sqliteChannelStore({ path: file, now: () => START });
  opened.push(store);
  return store;
}

const append = ({ history }: SqliteChannelStore, id: string) =>
  history.append("a", { id, data: "x".repeat(5_000), at: 1 }, BOUNDS);

async function ids({ history }: SqliteChannelStore): Promise<string[]> {
  const { messages } = await history.read("a", { after: 0, limit: 1_000, retention: BOUNDS, now: 1 });
  return messages.map(({ id }) => id);
}

/** Creates a store with a backup of its file, and one more message in its log. */
async function openWithBackup(): Promise<SqliteChannelStore> {
  const before = open();
  await append(before, "m1");
  before.close();
  copyFileSync(path, backup);
  const store = open();
  await append(store, "m2");
  return store;
}

function replace(): void {
  copyFileSync(backup, join(folder, "copy.db"));
  renameSync(join(folder, "copy.db"), path);
}

const KEY = { owner: "ada", id: "r1" };
const FIELDS = { action: "x", input: 1, tenant: "", identity: {}, priority: 0, createdAt: 1, dueAt: 1 };

const CALLS: readonly ((store: SqliteChannelStore) => Promise<unknown>)[] = [
  ({ history }) => history.append("a", { id: "m3", data: 1, at: 1 }, BOUNDS),
  ({ history }) => history.append("b", { id: "m4", data: 1, at: 1 }, BOUNDS),
  ({ history }) => history.appendAfter("b", { epoch: "", offset: 0 }, { id: "m5", data: 1, at: 1 }, BOUNDS),
  ({ history }) => history.read("a", { limit: 1, retention: BOUNDS, now: 1 }),
  ({ history }) => history.readHead("a"),
  ({ history }) => history.markDelivered("a", 1),
  ({ history }) => history.checkpoint("a", 1, "here"),
  ({ history }) => history.listPendingFanOuts(1e15)[Symbol.asyncIterator]().next(),
  ({ requests }) => requests.create({ ...KEY, ...FIELDS }),
  ({ requests }) => requests.get(KEY),
  ({ requests }) => requests.countOpen({ owner: "ada" }, 1),
  ({ requests }) => requests.listDue(1)[Symbol.asyncIterator]().next(),
  ({ requests }) => requests.claim({ ...KEY, token: "t" }, { now: 1, leaseUntil: 2 }),
];

async function expectEveryCallRefused(store: SqliteChannelStore): Promise<void> {
  const remedy = "restart this process to continue with the current file";
  const reason = {
    name: "StoreError",
    code: "STORE_REFUSED",
    message: `${path} was replaced or deleted while open: ${remedy}`,
  };
  const outcomes = await Promise.allSettled(CALLS.map((call) => call(store)));
  expect(outcomes).toMatchObject(CALLS.map(() => ({ status: "rejected", reason })));
  for (const call of CALLS) await expect(call(store)).rejects.toMatchObject(reason);
}

// Windows does not allow deleting or replacing an open file.
describe.skipIf(process.platform === "win32")("an open file of SQLite", () => {
  it.each<[string, () => void]>([
    ["deleted", () => rmSync(path)],
    ["moved away", () => renameSync(path, `${path}.old`)],
    ["replaced by rename", replace],
    [
      "deleted and created anew",
      () => {
        rmSync(path);
        copyFileSync(backup, path);
      },
    ],
    [
      "replaced by a folder",
      () => {
        rmSync(path);
        mkdirSync(path);
      },
    ],
    ["left without its log", () => rmSync(`${path}-wal`)],
  ])("rejects every call after the file was %s", async (_how, lose) => {
    const store = await openWithBackup();
    lose();
    await expectEveryCallRefused(store);
  });

  it("rejects every call after the link to it names another file", async () => {
    symlinkSync(join(folder, "real.db"), path);
    const store = await openWithBackup();
    symlinkSync(backup, join(folder, "link"));
    renameSync(join(folder, "link"), path);
    await expectEveryCallRefused(store);
  });

  it("rejects every call after the log of a linked file was deleted", async () => {
    symlinkSync(join(folder, "real.db"), path);
    const store = await openWithBackup();
    rmSync(join(folder, "real.db-wal"));
    await expectEveryCallRefused(store);
  });

  it("rejects waiting appends when the file is deleted", async () => {
    const store = await openWithBackup();
    const waiting = Promise.allSettled([append(store, "m3"), append(store, "m4")]);
    rmSync(path);
    const rejected = { status: "rejected", reason: { code: "STORE_REFUSED" } };
    expect(await waiting).toMatchObject([rejected, rejected]);
  });

  it("keeps rejecting calls after the file was restored", async () => {
    const store = await openWithBackup();
    renameSync(path, `${path}.old`);
    await expect(append(store, "m3")).rejects.toMatchObject({ code: "STORE_REFUSED" });
    renameSync(`${path}.old`, path);
    await expectEveryCallRefused(store);
    store.close();
    expect(await ids(open())).toEqual(["m1", "m2"]);
  });

  it("works while other files beside it are created and deleted", async () => {
    const store = await openWithBackup();
    rmSync(backup);
    expect(await append(store, "m3")).toMatchObject({ message: { offset: 3 } });
    expect(await ids(store)).toEqual(["m1", "m2", "m3"]);
  });

  it.each([
    ["by a call", (store: SqliteChannelStore) => append(store, "m3").catch(() => {})],
    ["at its close", async (store: SqliteChannelStore) => store.close()],
  ])("does not change a file that replaced it, noticed %s", async (_when, notice) => {
    const store = await openWithBackup();
    replace();
    await notice(store);
    // As after a kill, the log keeps its name.
    expect(statSync(`${path}-wal`).size).toBe(0);
    store.close();
    expect(readFileSync(path)).toEqual(readFileSync(backup));
    expect(await ids(open())).toEqual(["m1"]);
  });

  it("starts another epoch when the file was deleted and the store is opened again", async () => {
    const store = await openWithBackup();
    const { epoch } = await store.history.readHead("a");
    rmSync(path);
    store.close();
    const head = await open().history.readHead("a");
    expect(head.offset).toBe(0);
    expect(head.epoch).not.toBe(epoch);
  });

  it("has all acknowledged messages at the path that it was moved to", async () => {
    const store = await openWithBackup();
    renameSync(path, join(folder, "moved.db"));
    store.close();
    expect(await ids(open(join(folder, "moved.db")))).toEqual(["m1", "m2"]);
  });

  it("does not change another process's log on close", async () => {
    const store = await openWithBackup();
    replace();
    rmSync(`${path}-wal`);
    const other = new DatabaseSync(path);
    other.exec("PRAGMA locking_mode = EXCLUSIVE; INSERT INTO life (token) VALUES ('other')");
    const log = readFileSync(`${path}-wal`);
    store.close();
    expect(readFileSync(`${path}-wal`)).toEqual(log);
    other.close();
    expect(existsSync(`${path}-wal`)).toBe(false);
  });
});

describe("a file of SQLite that was restored as documented", () => {
  /** With a log of the old file, as a killed process leaves it. */
  async function restore(): Promise<void> {
    const log = `${path}-wal`;
    const store = await openWithBackup();
    copyFileSync(log, join(folder, "log"));
    store.close();
    copyFileSync(join(folder, "log"), log);
    const docs = readFileSync(
      join(import.meta.dirname, "../../../docs/operations/channel-stores.md"),
      "utf8",
    );
    const [procedure] = codeBlocks(docs).filter(({ info }) => info === "sh");
    const PATH = dirname(process.execPath) + delimiter + process.env.PATH;
    execFileSync("sh", ["-e", "-c", procedure!.code], { cwd: folder, env: { PATH }, stdio: "pipe" });
  }

  it("has the backup's messages in another epoch, for every channel", async () => {
    const before = open();
    const epochs = await Promise.all(["a", "unused"].map((channel) => before.history.readHead(channel)));
    before.close();
    await restore();
    const after = open();
    expect(await ids(after)).toEqual(["m1"]);
    for (const [at, channel] of ["a", "unused"].entries()) {
      const { epoch } = await after.history.readHead(channel);
      expect(epoch).not.toBe(epochs[at]?.epoch);
    }
    const { epoch } = await after.history.readHead("a");
    expect(await append(after, "m3")).toMatchObject({ epoch, message: { offset: 2 } });
  });

  it("returns `recovered: false` to a client with an older position", async () => {
    const subscribeTo = async (store: SqliteChannelStore, position?: unknown) => {
      const { client, streamer } = simulateStreamer({ store });
      for (let n = 1; n <= 5; n++) await streamer.publish("room:a", { n });
      const ada = await client("c1", { user: "ada" });
      const channels = [{ channel: "room:a", ...(position === undefined ? {} : { position }) }] as never;
      return (await ada.ask("subscribe", { channels })).data.channels[0];
    };
    const before = open();
    const { position } = await subscribeTo(before);
    before.close();
    await restore();
    const answer = await subscribeTo(open(), { ...position, offset: 7 });
    expect(answer).toMatchObject({ channel: "room:a", recovered: false, position: { offset: 10 } });
    expect(answer.position.epoch).not.toBe(position.epoch);
  });
});
