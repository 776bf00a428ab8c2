// Acknowledged writes of requests survive the end of the process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type SqliteChannelStore, sqliteChannelStore } from "../../src/store/sqlite/index.ts";

const WORKER = join(import.meta.dirname, "sqlite-worker.ts");
const ACKNOWLEDGED_PER_LIFE = 600;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lift-ws-sqlite-requests-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The acknowledged writes of a request. */
interface Acknowledged {
  owner: string;
  appended: number;
  saved: boolean;
  finished: string | undefined;
}

/** Runs the worker and kills it while it works. Adds the acknowledged writes to `requests`. */
async function workUntilKilled(path: string, run: number, requests: Map<string, Acknowledged>) {
  const child = spawn(process.execPath, ["--conditions=@lift-ws/source", WORKER, path, String(run)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  let acknowledged = 0;
  // Reads the pipe to its end, because acknowledgements before the kill count too.
  for await (const line of createInterface(child.stdout)) {
    const [id, write, value] = JSON.parse(line);
    const known = requests.get(id) ?? { owner: value, appended: 0, saved: false, finished: undefined };
    requests.set(id, known);
    if (write === "appended") known.appended = value;
    if (write === "saved") known.saved = true;
    if (write === "finished") known.finished = value;
    if (++acknowledged === ACKNOWLEDGED_PER_LIFE) child.kill("SIGKILL");
  }
  expect(await ended).toEqual([null, "SIGKILL"]);
}

it("keeps every acknowledged write of requests whose processes are killed", async () => {
  const path = join(folder, "killed.db");
  const requests = new Map<string, Acknowledged>();
  for (let run = 1; run <= 3; run++) await workUntilKilled(path, run, requests);
  const store = sqliteChannelStore({ path });
  try {
    let [finished, unfinished] = [0, 0];
    for (const [id, acknowledged] of requests) {
      await check(store, id, acknowledged);
      if (acknowledged.finished === undefined) unfinished++;
      else finished++;
    }
    expect(finished).toBeGreaterThan(0);
    expect(unfinished).toBeGreaterThan(0);
  } finally {
    store.close();
  }
});

async function check(
  { requests }: SqliteChannelStore,
  id: string,
  acknowledged: Acknowledged,
): Promise<void> {
  const key = { owner: acknowledged.owner, id };
  const stored = await requests.get(key);
  expect(stored).toMatchObject(key);
  const { head, items } = await requests.readOutput(key, { after: 0, limit: 100 });
  expect(head.offset).toBeGreaterThanOrEqual(acknowledged.appended);
  expect(items.map(({ data }) => data)).toEqual(items.map((_, n) => ({ text: `${id} ${n + 1}` })));
  if (acknowledged.finished !== undefined) expect(stored?.state).toBe(acknowledged.finished);
  if (stored?.state === "COMPLETED") expect(await requests.readResult(key)).toEqual({ result: { id } });
  if (stored?.state === "FAILED") await requests.redrive(key, Date.now());
  if (stored?.state === "COMPLETED") return;
  const later = Date.now() + 60_000;
  const claimed = await requests.claim({ ...key, token: "later" }, { now: later, leaseUntil: later + 1 });
  expect(claimed).toMatchObject({ input: { id }, output: head });
  if (acknowledged.saved) expect(claimed?.checkpoint).toEqual({ id });
}
