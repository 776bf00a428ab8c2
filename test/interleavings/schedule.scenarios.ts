import { expect } from "vitest";
import type { Step } from "../support/interleaving.ts";
import type { Container } from "./container.ts";
import { MINUTE } from "./namespaces.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import type { Scenarios, Simulation } from "./simulation.ts";

const HEARTBEATS = { heartbeatMs: MINUTE };

/** Ticks of several processes, and changes of the items that they handle. */
export const SCHEDULE: Scenarios = {
  "two ticks that find a connection gone": async (simulation) => {
    const { channel, client, watcher } = await watched(simulation);
    await simulation.vanish(client);
    simulation.backend.advance(MINUTE);
    return {
      sides: [1, 2].map(() => (step: Step) => ticking(simulation, step).tick()),
      check: async () => {
        simulation.expectEvents(watcher, ["join", "leave"], "ada");
        await simulation.check(channel);
      },
    };
  },

  "a tick that finds a connection gone and its $disconnect": async (simulation) => {
    const { channel, client, watcher } = await watched(simulation);
    await simulation.vanish(client);
    simulation.backend.advance(MINUTE);
    return {
      sides: [
        (step) => ticking(simulation, step).tick(),
        (step) => ticking(simulation, step).disconnected(client),
      ],
      check: async () => {
        simulation.expectEvents(watcher, ["join", "leave"], "ada");
        await simulation.check(channel);
      },
    };
  },

  "the check of a connection and its heartbeat": async (simulation) => {
    const { channel, client, watcher } = await watched(simulation);
    simulation.backend.advance(MINUTE);
    return {
      sides: [(step) => ticking(simulation, step).tick(), (step) => heartbeat(simulation, client, step)],
      check: async () => {
        expect(simulation.isClosed(client)).toBe(false);
        await expectWatched(simulation, client, watcher);
        await simulation.check(channel);
      },
    };
  },

  "the last check of a connection and its heartbeat": async (simulation) => {
    const { channel, client, watcher } = await watched(simulation);
    // The client misses a heartbeat.
    simulation.backend.advance(MINUTE);
    await heartbeat(simulation, watcher);
    await ticking(simulation).tick();
    simulation.backend.advance(MINUTE);
    await heartbeat(simulation, watcher);
    return {
      sides: [(step) => ticking(simulation, step).tick(), (step) => heartbeat(simulation, client, step)],
      check: async () => {
        if (simulation.isClosed(client)) client.leave();
        else await expectWatched(simulation, client, watcher);
        await simulation.check(channel);
      },
    };
  },

  "a tick that finds a connection without channels and its subscribe": async (simulation) => {
    const channel = `room:${simulation.name}`;
    const { client, watcher } = await watched(simulation);
    await client.unsubscribe(ticking(simulation), channel);
    simulation.backend.advance(MINUTE);
    return {
      sides: [
        (step) => ticking(simulation, step).tick(),
        (step) => client.subscribe(ticking(simulation, step), channel),
      ],
      check: async () => {
        await simulation.vanish(client);
        simulation.backend.advance(MINUTE);
        await heartbeat(simulation, watcher);
        await ticking(simulation).tick();
        await simulation.check(channel);
      },
    };
  },
};

/** Returns a process whose clients send heartbeats. */
function ticking(simulation: Simulation, step?: Step): Container {
  return simulation.container(step, HEARTBEATS);
}

/** A channel with two members, whose connections are watched. */
async function watched(simulation: Simulation) {
  const channel = `room:${simulation.name}`;
  const watcher = simulation.client("watcher", "bob");
  const client = simulation.client("client", "ada");
  for (const member of [watcher, client]) {
    await member.connect(ticking(simulation));
    await member.subscribe(ticking(simulation), channel);
  }
  return { channel, client, watcher };
}

async function heartbeat(simulation: Simulation, client: SimulatedClient, step?: Step): Promise<void> {
  await client.ask(ticking(simulation, step), "heartbeat", {});
}

/** Checks that a connection is closed after two missed heartbeats, and one with heartbeats is not. */
async function expectWatched(
  simulation: Simulation,
  client: SimulatedClient,
  other: SimulatedClient,
): Promise<void> {
  for (let missed = 0; missed < 3; missed++) {
    simulation.backend.advance(MINUTE);
    await heartbeat(simulation, other);
    await ticking(simulation).tick();
  }
  expect([simulation.isClosed(client), simulation.isClosed(other)]).toEqual([true, false]);
  client.leave();
}
