// What `npm run check:history` does, for a short time and with one seed.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { CALM_MS, run, SETTLE_MS } from "./run.ts";
import { openBacking, STORES } from "./stores.ts";

const SEED = 20_260_101;
const SECONDS = 15;

it.concurrent.each(STORES)(
  "keeps what is promised of channels, whatever goes wrong: %s",
  async (store) => {
    const folder = await mkdtemp(join(tmpdir(), "lift-ws-history-"));
    const { backing, close } = await openBacking(store, folder);
    const { violations, tally } = await run({ seed: SEED, seconds: SECONDS, backing, folder }).finally(close);
    expect(violations).toEqual([]);
    expect(tally.tooFew(SECONDS * 1_000 - CALM_MS - SETTLE_MS)).toEqual([]);
    await rm(folder, { recursive: true });
  },
  180_000,
);
