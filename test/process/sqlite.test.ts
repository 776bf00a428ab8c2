// Acknowledged appends survive the end of the process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type SqliteChannelStore, sqliteChannelStore } from "../../src/store/sqlite/index.ts";

const WRITER = join(import.meta.dirname, "sqlite-writer.ts");
const ACKNOWLEDGED_PER_LIFE = 400;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lift-ws-sqlite-process-"));
});
afterAll(() => rm(folder, { recursive: true }));

type Acknowledged = readonly [channel: string, epoch: string, offset: number, id: string];

/** Runs the writer and kills it while it appends. Resolves to the acknowledged appends. */
async function writeUntilKilled(path: string, run: number): Promise<Acknowledged[]> {
  const child = spawn(process.execPath, ["--conditions=@lift-ws/source", WRITER, path, String(run)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const acknowledged: Acknowledged[] = [];
  // Reads the pipe to its end, because acknowledgements before the kill count too.
  for await (const line of createInterface(child.stdout)) {
    acknowledged.push(JSON.parse(line));
    if (acknowledged.length === ACKNOWLEDGED_PER_LIFE) child.kill("SIGKILL");
  }
  expect(await ended).toEqual([null, "SIGKILL"]);
  return acknowledged;
}

async function stored(store: SqliteChannelStore, channel: string) {
  const retention = { size: 1_000_000, ageMs: 3_600_000 };
  const ids: string[] = [];
  for (let more = true; more; ) {
    const query = { after: ids.length, limit: 1_000, retention, now: Date.now() };
    const page = await store.history.read(channel, query);
    expect(page.messages.map(({ offset }) => offset)).toEqual(
      page.messages.map((_, n) => ids.length + 1 + n),
    );
    ids.push(...page.messages.map(({ id }) => id));
    more = page.more;
  }
  const { epoch, offset } = await store.history.readHead(channel);
  expect(offset).toBe(ids.length);
  return { epoch, ids };
}

it("keeps every acknowledged append of processes that are killed, without a gap", async () => {
  const path = join(folder, "killed.db");
  const acknowledged: Acknowledged[] = [];
  for (let run = 1; run <= 3; run++) acknowledged.push(...(await writeUntilKilled(path, run)));
  expect(acknowledged.length).toBeGreaterThanOrEqual(3 * ACKNOWLEDGED_PER_LIFE);

  const store = sqliteChannelStore({ path });
  try {
    const pending = new Set<string>();
    for await (const { channel, message } of store.history.listPendingFanOuts(Number.MAX_SAFE_INTEGER)) {
      pending.add(`${channel} ${message.offset} ${message.id}`);
    }
    for (const channel of ["c0", "c1", "c2"]) {
      const { epoch, ids } = await stored(store, channel);
      expect(new Set(ids).size).toBe(ids.length);
      for (const [, ackEpoch, offset, id] of acknowledged.filter((each) => each[0] === channel)) {
        expect([ackEpoch, ids[offset - 1]]).toEqual([epoch, id]);
      }
      // An append without an acknowledgement is either stored and pending, or not stored.
      const acknowledgedIds = new Set(acknowledged.map((each) => each[3]));
      for (const [n, id] of ids.entries()) {
        if (!acknowledgedIds.has(id)) expect(pending).toContain(`${channel} ${n + 1} ${id}`);
      }
    }
    const [channel, , offset, id] = acknowledged.at(-1)!;
    const message = { id: "again", data: null, at: Date.now(), key: id };
    expect(await store.history.append(channel, message, { size: 1, ageMs: 1 })).toMatchObject({
      duplicate: true,
      message: { id, offset },
    });
  } finally {
    store.close();
  }
});

it("rejects a file that another process has open", async () => {
  const path = join(folder, "taken.db");
  const child = spawn(process.execPath, ["--conditions=@lift-ws/source", WRITER, path, "1"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  try {
    await once(child.stdout, "data");
    child.stdout.resume();
    expect(() => sqliteChannelStore({ path, busyTimeoutMs: 50 })).toThrow(
      expect.objectContaining({ code: "STORE_UNAVAILABLE", message: expect.stringContaining(path) }),
    );
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
  sqliteChannelStore({ path, busyTimeoutMs: 5_000 }).close();
});
