import { expect, vi } from "vitest";
import { type HistoryPage, MessageOrder } from "../../src/client/channels/message-order.ts";
import type { ChannelMessage } from "../../src/protocol/index.ts";
import { OUTPUT_EPOCH } from "../../src/streamer/requests/messages.ts";
import { toRequestChannel, toRequestChannelKey } from "../../src/streamer/requests/request-keys.ts";
import { collect } from "../streamer/simulation.ts";
import type { Step } from "../support/interleaving.ts";
import { type SimulatedClient, TENANT } from "./simulated-client.ts";
import type { Scenarios, Simulation } from "./simulation.ts";

const USER = "bob";

/** The run of a request in one process, and its watchers in others. */
export const REQUESTS: Scenarios = {
  "a request's run and a watcher that attaches": async (simulation) => {
    const { id, work } = await storedRequest(simulation);
    const watcher = await watcherOf(simulation, "watcher");
    return {
      sides: [work, (step) => attach(simulation, watcher, id, step)],
      check: () => expectWhole(simulation, watcher, id),
    };
  },

  "a request's run and the $disconnect of a watcher": async (simulation) => {
    const { id, work } = await storedRequest(simulation);
    const watcher = await watcherOf(simulation, "watcher");
    await attach(simulation, watcher, id);
    return {
      sides: [work, (step) => simulation.leave(watcher, step)],
      check: () => expectNoWatchers(simulation, id),
    };
  },

  "a request's run and a watcher that detaches": async (simulation) => {
    const { id, work } = await storedRequest(simulation);
    const watcher = await watcherOf(simulation, "watcher");
    await attach(simulation, watcher, id);
    const payload = { channels: [toRequestChannel(id)] };
    return {
      sides: [
        work,
        async (step) => void (await watcher.ask(simulation.container(step), "unsubscribe", payload)),
      ],
      check: () => expectNoWatchers(simulation, id),
    };
  },
};

/** Stores a request. `work` runs it in another process until its client has received the end. */
async function storedRequest(simulation: Simulation) {
  const client = await watcherOf(simulation, "client");
  const id = `request-${simulation.name}`;
  await simulation.container().send(client, { id, action: "work" });
  const work = async (step: Step): Promise<void> => {
    const container = simulation.container(step, { workers: 1 });
    const ended = simulation.connections.untilSent(client, '"type":"complete"');
    await container.tick();
    await ended;
    // Waits until the run has sent its end to the others too.
    await container.streamer.app.stop();
  };
  return { id, work };
}

async function watcherOf(simulation: Simulation, name: string): Promise<SimulatedClient> {
  const watcher = simulation.client(name, USER);
  await watcher.connect(simulation.container());
  return watcher;
}

/** Subscribes to a request and then reads its state, as the client library does. */
async function attach(simulation: Simulation, watcher: SimulatedClient, id: string, step?: Step) {
  const container = simulation.container(step);
  const position = { epoch: OUTPUT_EPOCH, offset: 0 };
  await watcher.ask(container, "subscribe", { channels: [{ channel: toRequestChannel(id), position }] });
  await watcher.ask(container, "request", { request: id });
}

/**
 * Expects that a watcher has received the whole output and the end, in any order. It has to read the history only if the server
 * has joined items, and so repeated a part of what the watcher had.
 */
async function expectWhole(simulation: Simulation, watcher: SimulatedClient, id: string): Promise<void> {
  const frames = simulation.connections
    .sentTo(watcher.connectionId)
    .map((frame) => JSON.parse(String(frame)));
  const messages: ChannelMessage[] = frames.flatMap((frame) =>
    frame.type === "message" ? [frame] : (frame.data?.channels?.[0]?.messages ?? []),
  );
  const ends = frames.flatMap((frame) => {
    if (frame.type === "complete" && frame.request_id === id) return [frame.output];
    return frame.data?.state === "COMPLETED" ? [frame.data.output] : [];
  });
  expect(new Set(ends).size).toBe(1);
  const lost = vi.fn();
  const order = new MessageOrder({ deliver: () => {}, lost });
  order.position = { epoch: OUTPUT_EPOCH, offset: 0 };
  for (const message of messages) order.add(message);
  order.observeHead({ epoch: OUTPUT_EPOCH, offset: ends[0] });
  if (order.hasGap && messages.some(({ from, position }) => from !== undefined && from < position!.offset)) {
    const after = order.startFetch();
    const payload = { channel: toRequestChannel(id), after };
    const answer = await watcher.ask(simulation.container(), "history", payload);
    order.apply(after, (answer as { data: unknown }).data as HistoryPage);
  }
  expect([order.hasGap, order.position.offset]).toEqual([false, ends[0]]);
  expect(ends[0]).toBeGreaterThan(0);
  expect(lost).not.toHaveBeenCalled();
}

async function expectNoWatchers(simulation: Simulation, id: string): Promise<void> {
  const { members } = simulation.container().stores.store;
  const key = toRequestChannelKey({ tenantId: TENANT, userId: USER }, id);
  expect(await collect(members.listMembers(key, simulation.backend.now()))).toEqual([]);
}
