// The checker must be able to fail: each kind of bug, put into the running world, and found.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PLANTS } from "./plants.ts";
import { run } from "./run.ts";

const FOUND: { readonly [plant: string]: RegExp } = {
  "message acknowledged and not stored": /has both|stored twice|tail is missing|unjustified/,
  "message kept from everyone": /has .* behind|unjustified|tail is missing/,
  "unjustified recovered: false": /unjustified recovered: false/,
  "message to another tenant": /has seen \S+ of ([ab])\/\S+ in (?!\1)|another tenant's/,
  "presence ghost": /who have left/,
  "stream taken from its owner": /its owner was there|nobody streams, and sue does/,
  "message dropped": /missing or out of order/,
  "message doubled": /twice or out of order/,
  "messages swapped": /missing or out of order/,
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lift-ws-plants-"));
});
afterAll(() => rm(folder, { recursive: true }));

it.concurrent.each(PLANTS)("finds a bug in the running world: %s", async (plant) => {
  const own = await mkdtemp(join(folder, "plant-"));
  const { violations } = await run({
    seed: 1,
    seconds: 12,
    backing: { store: "sqlite", path: join(own, "channels.db") },
    folder: own,
    plant,
  });
  expect(violations.join("\n")).toMatch(FOUND[plant]!);
});
