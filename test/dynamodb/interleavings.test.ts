import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Backend } from "../interleavings/backend.ts";
import { CONNECTIONS } from "../interleavings/connection.scenarios.ts";
import { dynamoDBBackend } from "../interleavings/dynamodb-backend.ts";
import { EXPIRY } from "../interleavings/expiry.scenarios.ts";
import { SCENARIOS } from "../interleavings/scenarios.ts";
import { play } from "../interleavings/simulation.ts";
import type { OrderOptions } from "../support/interleaving.ts";

/** Few requests make an order. */
const SHORT = Object.keys({ ...CONNECTIONS, ...EXPIRY });

/** These have had races between the requests of one call. */
const RACY = [
  "a subscribe with presence and a $disconnect",
  "a subscribe without presence and a $disconnect",
  "a start and the $disconnect of its owner",
  "a request's run and a watcher that attaches",
];

/** Requests take milliseconds, so most scenarios draw a single order. */
function ordersOf(title: string): OrderOptions {
  if (RACY.includes(title)) return { switches: 1, most: 25, random: 5 };
  return SHORT.includes(title) ? { switches: 1, most: 6, random: 2 } : { switches: 0, most: 0, random: 1 };
}

describe("On DynamoDB, the promises hold in orders of", () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await dynamoDBBackend();
  });
  afterAll(() => backend.close());

  // Random pauses are zero, so that an order can be played again.
  beforeEach(() => void vi.spyOn(Math, "random").mockReturnValue(0));

  it.each(Object.entries(SCENARIOS))("%s", async (title, scenario) => {
    const orders = ordersOf(title);
    expect(await play(backend, orders, scenario)).toBeGreaterThanOrEqual(orders.random ?? 10);
  });
});
