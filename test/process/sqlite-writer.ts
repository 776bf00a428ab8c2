// Appends until it is killed, and prints each acknowledged append: `node sqlite-writer.ts <path> <process number>`.
import { writeSync } from "node:fs";
import { sqliteChannelStore } from "../../src/store/sqlite/index.ts";

const [path = "", run = ""] = process.argv.slice(2);
const { history } = sqliteChannelStore({ path });
let next = 0;

async function write(writer: number): Promise<never> {
  for (;;) {
    const id = `${run}-${next++}`;
    const channel = `c${writer % 3}`;
    const message = { id, data: { id, filler: "x".repeat(next % 500) }, at: Date.now(), key: id };
    const { epoch, message: stored } = await history.append(channel, message, {
      size: 1_000_000,
      ageMs: 3_600_000,
    });
    writeSync(1, `${JSON.stringify([channel, epoch, stored.offset, id])}\n`);
    if (next % 2 === 0) await history.markDelivered(channel, stored.offset);
  }
}

await Promise.all(Array.from({ length: 32 }, (_, writer) => write(writer)));
