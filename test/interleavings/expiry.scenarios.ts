import { expect } from "vitest";
import { webSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import type { Step } from "../support/interleaving.ts";
import type { Container } from "./container.ts";
import { MINUTE } from "./namespaces.ts";
import { type SimulatedClient, TENANT } from "./simulated-client.ts";
import type { Scenarios, Simulation } from "./simulation.ts";

/** Tokens of connections: their refresh, and their expiry. */
export const EXPIRY: Scenarios = {
  "a refresh and the tick at the expiry": async (simulation) => {
    const client = await connectUntil(simulation, MINUTE);
    const refreshedUntil = simulation.backend.now() + 5 * MINUTE;
    simulation.backend.advance(MINUTE - 1);
    let isRefreshed = false;
    let wasInTime = false;
    return {
      sides: [
        async (step) => {
          isRefreshed = await refresh(simulation, client, refreshedUntil, step);
        },
        async (step) => {
          await step(async () => {
            simulation.backend.advance(1);
            wasInTime = isRefreshed;
          });
          await secured(simulation, step).tick();
        },
      ],
      check: async () => {
        if (wasInTime || !simulation.isClosed(client)) {
          expect([isRefreshed, simulation.isClosed(client)]).toEqual([true, false]);
          await expectCloseAt(simulation, client, refreshedUntil);
        }
      },
    };
  },

  "two refreshes": async (simulation) => {
    const client = await connectUntil(simulation, 10 * MINUTE);
    const ends = [2, 5].map((minutes) => simulation.backend.now() + minutes * MINUTE);
    return {
      sides: ends.map((end) => (step) => refresh(simulation, client, end, step)),
      check: async (results) => {
        expect(results).toEqual([true, true]);
        const row = await secured(simulation).stores.connectionStore.get(client.connectionId);
        const { expiresAt } = row!.state["lift:auth"] as { readonly expiresAt: number };
        await expectCloseAt(simulation, client, expiresAt);
      },
    };
  },

  "a refresh and a $disconnect": async (simulation) => {
    const client = await connectUntil(simulation, MINUTE);
    const end = simulation.backend.now() + 2 * MINUTE;
    return {
      sides: [
        (step) => refresh(simulation, client, end, step),
        async (step) => {
          await simulation.vanish(client, step);
          await secured(simulation, step).disconnected(client);
        },
      ],
      check: async () => {
        const { connectionStore, schedule } = secured(simulation).stores;
        expect(await connectionStore.get(client.connectionId)).toBeUndefined();
        simulation.backend.advance(2 * MINUTE);
        expect((await secured(simulation).tick()).failed).toBe(0);
        for await (const { id } of schedule.listDue(Number.MAX_SAFE_INTEGER)) {
          expect(id).not.toBe(client.connectionId);
        }
      },
    };
  },
};

/** Returns a process that authenticates clients. The token of a client contains its expiry. */
function secured(simulation: Simulation, step?: Step): Container {
  const auth = webSocketAuth({
    validateToken: (token) => ({
      userId: "ada",
      tenantId: TENANT,
      expiresAt: Number(token.split(".")[1]),
    }),
    now: simulation.backend.now,
  });
  return simulation.container(step, { auth });
}

function tokenUntil(expiresAt: number): string {
  return `opaque-credential.${expiresAt}`;
}

async function connectUntil(simulation: Simulation, ms: number): Promise<SimulatedClient> {
  const client = simulation.client("client", "ada");
  const token = tokenUntil(simulation.backend.now() + ms);
  expect(await client.connect(secured(simulation), { token })).toBe(200);
  return client;
}

/** @returns whether the client has received the response */
async function refresh(
  simulation: Simulation,
  client: SimulatedClient,
  expiresAt: number,
  step: Step,
): Promise<boolean> {
  const answer = await client.ask(secured(simulation, step), "refresh", { token: tokenUntil(expiresAt) });
  return answer?.type === "response";
}

/** Checks that a connection is closed by the first tick at its expiry, and by none before. */
async function expectCloseAt(simulation: Simulation, client: SimulatedClient, at: number): Promise<void> {
  const { advance, now } = simulation.backend;
  advance(at - 1 - now());
  await secured(simulation).tick();
  expect(simulation.isClosed(client)).toBe(false);
  advance(1);
  await secured(simulation).tick();
  expect(simulation.isClosed(client)).toBe(true);
}
