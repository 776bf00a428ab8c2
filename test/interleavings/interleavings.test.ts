import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { OrderOptions } from "../support/interleaving.ts";
import { type Backend, memoryBackend, sqliteBackend } from "./backend.ts";
import { FAN_OUT } from "./fan-out.scenarios.ts";
import { LIVE_STREAMS } from "./live-stream.scenarios.ts";
import { REQUESTS } from "./request.scenarios.ts";
import { SCENARIOS } from "./scenarios.ts";
import { backendWithBug, SEEDED_BUGS } from "./seeded-bugs.ts";
import { play } from "./simulation.ts";

/** `npm run check:properties` draws more orders. */
const ORDERS: OrderOptions = { switches: 1, random: process.env.PROPERTY_SEED === undefined ? 10 : 200 };

describe.each([
  ["memory", memoryBackend, SCENARIOS],
  // Its file holds the messages, the log of the live streams and the requests. All else is in memory.
  ["SQLite", sqliteBackend, { ...FAN_OUT, ...LIVE_STREAMS, ...REQUESTS }],
] as const)("On %s, the promises hold in each order of", (_name, create, scenarios) => {
  let backend: Backend;
  beforeAll(() => {
    backend = create();
  });
  afterAll(() => backend.close());

  it.each(Object.entries(scenarios))("%s", async (_title, scenario) => {
    expect(await play(backend, ORDERS, scenario)).toBeGreaterThan(10);
  });
});

describe("The scenarios find", () => {
  it.each(Object.entries(SEEDED_BUGS))("%s", async (_bug, bug) => {
    const backend = backendWithBug(memoryBackend(), bug);
    await expect(play(backend, ORDERS, SCENARIOS[bug.scenario]!)).rejects.toThrow(/^In the order \d+: /);
  });
});
