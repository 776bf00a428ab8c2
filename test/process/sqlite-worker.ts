// Works on requests until it is killed, and prints each acknowledged write: `node sqlite-worker.ts <path> <process number>`.
import { writeSync } from "node:fs";
import { sqliteChannelStore } from "../../src/store/sqlite/index.ts";

const [path = "", run = ""] = process.argv.slice(2);
const { requests } = sqliteChannelStore({ path });
const failure = { code: "INTERNAL_ERROR", message: "no" };
let next = 0;

const acknowledge = (id: string, write: string, value: unknown) =>
  writeSync(1, `${JSON.stringify([id, write, value])}\n`);

async function work(worker: number): Promise<never> {
  for (;;) {
    const id = `${run}-${next++}`;
    const [owner, now] = [`user${worker % 3}`, Date.now()];
    const fields = { action: "report", tenant: owner, identity: {}, priority: 0, createdAt: now, dueAt: now };
    await requests.create({ owner, id, ...fields, input: { id, filler: "x".repeat(next % 500) } });
    acknowledge(id, "created", owner);
    const lease = { owner, id, token: `${id} ${worker}` };
    await requests.claim(lease, { now, leaseUntil: now + 1 });
    for (let offset = 1; offset <= next % 4; offset++) {
      await requests.append(lease, {
        offset,
        data: { text: `${id} ${offset}` },
        chunks: offset,
        bytes: offset,
        at: now,
      });
      acknowledge(id, "appended", offset);
    }
    await requests.saveCheckpoint(lease, { id });
    acknowledge(id, "saved", id);
    const expiresAt = now + 3_600_000;
    const outcome =
      next % 3 === 0
        ? ({ state: "FAILED", failure, expiresAt } as const)
        : ({ state: "COMPLETED", result: { id }, expiresAt } as const);
    await requests.finish(lease, outcome, now);
    acknowledge(id, "finished", outcome.state);
  }
}

await Promise.all(Array.from({ length: 32 }, (_, worker) => work(worker)));
