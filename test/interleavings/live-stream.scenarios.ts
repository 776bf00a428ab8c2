import { expect } from "vitest";
import type { Step } from "../support/interleaving.ts";
import { MINUTE } from "./namespaces.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import type { Scenarios, Simulation } from "./simulation.ts";

/** Starts and ends of live streams. */
export const LIVE_STREAMS: Scenarios = {
  "two users' starts": async (simulation) => {
    const { channel, owner, watcher } = await ownerAndWatcher(simulation);
    const starts = [owner, watcher].map(
      (client) => (step: Step) => client.stream(simulation.container(step), "start", channel),
    );
    return {
      sides: starts,
      check: async (errors) => {
        expect([...errors].sort()).toEqual(["FORBIDDEN", undefined]);
        // The last answer may be the refusal.
        const winner = errors[0] === undefined ? owner : watcher;
        await winner.stream(simulation.container(), "start", channel);
        await simulation.check(channel);
      },
    };
  },

  "a start and the first subscribe of a viewer": async (simulation) => {
    const { channel, owner } = await ownerAndWatcher(simulation);
    const viewer = simulation.client("viewer", "eve");
    await viewer.connect(simulation.container());
    return {
      sides: [
        (step) => owner.stream(simulation.container(step), "start", channel),
        (step) => viewer.subscribe(simulation.container(step), channel),
      ],
      check: () => simulation.check(channel),
    };
  },

  "an end and the first subscribe of a viewer": async (simulation) => {
    const { channel, owner } = await ownerAndWatcher(simulation);
    await owner.stream(simulation.container(), "start", channel);
    const viewer = simulation.client("viewer", "eve");
    await viewer.connect(simulation.container());
    return {
      sides: [
        (step) => owner.stream(simulation.container(step), "end", channel),
        (step) => viewer.subscribe(simulation.container(step), channel),
      ],
      check: () => simulation.check(channel),
    };
  },

  "a start and an end in two tabs": async (simulation) => {
    const { channel, owner } = await ownerAndWatcher(simulation);
    const tab = await simulation.member("tab", "ada", channel);
    await owner.stream(simulation.container(), "start", channel);
    return {
      sides: [
        (step) => owner.stream(simulation.container(step), "start", channel),
        (step) => tab.stream(simulation.container(step), "end", channel),
      ],
      check: async () => {
        simulation.write({ ...streams(tab, channel), act: "end", outcome: "failed" });
        await simulation.check(channel);
      },
    };
  },

  "a start and the $disconnect of its owner": async (simulation) => {
    const { channel, owner } = await ownerAndWatcher(simulation);
    return {
      sides: [
        (step) => owner.stream(simulation.container(step), "start", channel),
        (step) => leaveStream(simulation, owner, channel, step),
      ],
      check: () => checkAfterGrace(simulation, channel),
    };
  },

  "an end and the $disconnect of its owner": async (simulation) => {
    const { channel, owner } = await ownerAndWatcher(simulation);
    await owner.stream(simulation.container(), "start", channel);
    return {
      sides: [
        (step) => owner.stream(simulation.container(step), "end", channel),
        (step) => leaveStream(simulation, owner, channel, step),
      ],
      check: () => checkAfterGrace(simulation, channel),
    };
  },

  "the $disconnect of an owner and its return": async (simulation) => {
    const { channel, owner } = await ownerAndWatcher(simulation);
    await owner.stream(simulation.container(), "start", channel);
    const tab = simulation.client("tab", "ada");
    await tab.connect(simulation.container());
    return {
      sides: [
        (step) => leaveStream(simulation, owner, channel, step),
        async (step) => {
          await tab.subscribe(simulation.container(step), channel);
          simulation.write({ kind: "back", ...ofOwner(tab, channel), kept: true });
        },
      ],
      check: async () => {
        const { streamer } = simulation.container();
        simulation.write({ kind: "back", ...ofOwner(tab, channel), kept: true });
        simulation.backend.advance(2 * MINUTE);
        await streamer.app.tick();
        expect(await streamer.stream(channel, { tenantId: "a" })).toMatchObject({ user: "ada" });
        await simulation.check(channel);
      },
    };
  },

  "the return of an owner and the end of its grace period": async (simulation) => {
    const { channel, owner } = await ownerAndWatcher(simulation);
    await owner.stream(simulation.container(), "start", channel);
    await leaveStream(simulation, owner, channel);
    simulation.backend.advance(MINUTE);
    const tab = simulation.client("tab", "ada");
    await tab.connect(simulation.container());
    return {
      sides: [
        (step) => tab.subscribe(simulation.container(step), channel),
        (step) => simulation.container(step).tick(),
      ],
      check: async () => {
        // Both outcomes are right, if all see the same one; and the stream ends with its owner.
        simulation.write({ ...streams(tab, channel), act: "end", outcome: "failed" });
        const { streamer } = simulation.container();
        const live = await streamer.stream(channel, { tenantId: "a" });
        expect(tab.live(channel)?.since).toBe(live?.since);
        await leaveStream(simulation, tab, channel);
        await checkAfterGrace(simulation, channel);
      },
    };
  },

  "two checks of an absent owner": async (simulation) => {
    const { channel, owner, watcher } = await ownerAndWatcher(simulation);
    await owner.stream(simulation.container(), "start", channel);
    await leaveStream(simulation, owner, channel);
    simulation.backend.advance(MINUTE);
    return {
      sides: [1, 2].map(() => (step: Step) => simulation.container(step).tick()),
      check: async () => {
        const ends = simulation.log.filter(
          (entry) => entry.kind === "stream_ended" && entry.client === watcher.name,
        );
        expect(ends).toHaveLength(1);
        await checkAfterGrace(simulation, channel);
      },
    };
  },
};

async function ownerAndWatcher(simulation: Simulation) {
  const channel = `show:${simulation.name}`;
  const watcher = await simulation.member("watcher", "bob", channel);
  const owner = await simulation.member("owner", "ada", channel);
  return { channel, owner, watcher };
}

/** The owner of a stream loses its connection for good. */
async function leaveStream(
  simulation: Simulation,
  owner: SimulatedClient,
  channel: string,
  step: Step = (call) => call(),
): Promise<void> {
  await step(async () => simulation.write({ kind: "away", ...ofOwner(owner, channel) }));
  await simulation.leave(owner, step);
}

async function checkAfterGrace(simulation: Simulation, channel: string): Promise<void> {
  // The grace period starts again when the end of the connection is noticed late.
  simulation.backend.advance(2 * MINUTE + 2_000);
  await simulation.container().tick();
  expect(await simulation.container().streamer.stream(channel, { tenantId: "a" })).toBeUndefined();
  await simulation.check(channel);
}

function ofOwner({ name: client, user }: SimulatedClient, channel: string) {
  return { client, user, tenant: "a", channel };
}

function streams(client: SimulatedClient, channel: string) {
  return { kind: "streams", ...ofOwner(client, channel) } as const;
}
