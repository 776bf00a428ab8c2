import { expect } from "vitest";
import type { Step } from "../support/interleaving.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import type { Scenarios, Simulation } from "./simulation.ts";

/** The row of a connection: its save, its delete, and the writes in between. */
export const CONNECTIONS: Scenarios = {
  "a $connect and its $disconnect": async (simulation) => {
    const client = simulation.client("client", "ada");
    return {
      sides: [(step) => client.connect(simulation.container(step)), (step) => simulation.leave(client, step)],
      check: () => expectNoRow(simulation, client),
    };
  },

  "two $disconnects of one connection": async (simulation) => {
    const client = await simulation.member("client", "ada", `plain:${simulation.name}`);
    await simulation.vanish(client);
    return {
      sides: [1, 2].map(() => (step: Step) => simulation.container(step).disconnected(client)),
      check: () => expectNoRow(simulation, client),
    };
  },

  "a write of a connection's state and its $disconnect": async (simulation) => {
    const client = simulation.client("client", "ada");
    await client.connect(simulation.container());
    return {
      sides: [
        (step) => simulation.container(step).stores.connectionStore.setState(client.connectionId, { n: 1 }),
        (step) => simulation.leave(client, step),
      ],
      check: async ([isWritten]) => {
        await expectNoRow(simulation, client);
        expect([true, false]).toContain(isWritten);
      },
    };
  },

  "two atomic updates of one key": async (simulation) => {
    const client = simulation.client("client", "ada");
    await client.connect(simulation.container());
    const add = (step: Step) => {
      const { connectionStore } = simulation.container(step).stores;
      return connectionStore.updateState(client.connectionId, "n", (n) => Number(n ?? 0) + 1);
    };
    return {
      sides: [add, add],
      check: async (results) => {
        expect([...results].sort()).toEqual([1, 2]);
        const row = await simulation.container().stores.connectionStore.get(client.connectionId);
        expect(row?.state).toEqual({ n: 2 });
      },
    };
  },

  "a send that finds a connection gone and its $disconnect": async (simulation) => {
    const client = simulation.client("client", "ada");
    await client.connect(simulation.container());
    await simulation.vanish(client);
    const seen: (string | undefined)[] = [];
    return {
      sides: [
        (step) => simulation.container(step).broadcast(client, "hello"),
        (step) =>
          simulation.container(step, { onDisconnect: (user) => seen.push(user) }).disconnected(client),
      ],
      check: async ([report]) => {
        expect(report).toMatchObject({ sent: 0, gone: 1 });
        expect(seen).toEqual(["ada"]);
        await expectNoRow(simulation, client);
      },
    };
  },
};

async function expectNoRow(simulation: Simulation, { connectionId, user }: SimulatedClient): Promise<void> {
  const { connectionStore } = simulation.container().stores;
  expect(await connectionStore.get(connectionId)).toBeUndefined();
  const rows = [];
  for await (const { id } of connectionStore.listByUser(user)) if (id === connectionId) rows.push(id);
  expect(rows).toEqual([]);
}
