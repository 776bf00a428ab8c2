import type { ContainerSettings } from "./container.ts";
import type { Scenario, Scenarios } from "./simulation.ts";

function subscribeAndDisconnect(namespace: string, settings?: ContainerSettings): Scenario {
  return async (simulation) => {
    const channel = `${namespace}:${simulation.name}`;
    await simulation.member("watcher", "bob", channel);
    const client = simulation.client("client", "ada");
    await client.connect(simulation.container(undefined, settings));
    return {
      sides: [
        (step) => client.subscribe(simulation.container(step, settings), channel),
        (step) => simulation.leave(client, step, settings),
      ],
      check: () => simulation.check(channel),
    };
  };
}

/** Subscriptions, and the end of connections in other processes. */
export const MEMBERSHIP: Scenarios = {
  "a subscribe with presence and a $disconnect": subscribeAndDisconnect("room"),
  "a subscribe with presence and the $disconnect of a new connection": subscribeAndDisconnect("room", {
    ageMs: 0,
  }),
  "a subscribe without presence and a $disconnect": subscribeAndDisconnect("plain"),
  "a subscribe with live streams and a $disconnect": subscribeAndDisconnect("show"),

  "the subscribe of a tab and the $disconnect of another": async (simulation) => {
    const channel = `room:${simulation.name}`;
    const watcher = await simulation.member("watcher", "bob", channel);
    const leaving = await simulation.member("leaving", "ada", channel);
    const client = simulation.client("client", "ada");
    await client.connect(simulation.container());
    return {
      sides: [
        (step) => client.subscribe(simulation.container(step), channel),
        (step) => simulation.leave(leaving, step),
      ],
      check: async () => {
        // Two processes cannot order a leave and a join; the watcher's heartbeat refreshes its list.
        await watcher.listMembers(simulation.container(), channel);
        await simulation.check(channel);
      },
    };
  },

  "the $disconnect of two tabs": async (simulation) => {
    const channel = `room:${simulation.name}`;
    const watcher = await simulation.member("watcher", "bob", channel);
    const tabs = [
      await simulation.member("tab1", "ada", channel),
      await simulation.member("tab2", "ada", channel),
    ];
    return {
      sides: tabs.map((tab) => (step) => simulation.leave(tab, step)),
      check: async () => {
        simulation.expectEvents(watcher, ["join", "leave"], "ada");
        await simulation.check(channel);
      },
    };
  },

  "the subscribes of two tabs": async (simulation) => {
    const channel = `room:${simulation.name}`;
    const watcher = await simulation.member("watcher", "bob", channel);
    const tabs = [simulation.client("tab1", "ada"), simulation.client("tab2", "ada")];
    for (const tab of tabs) await tab.connect(simulation.container());
    return {
      sides: tabs.map((tab) => (step) => tab.subscribe(simulation.container(step), channel)),
      check: async () => {
        simulation.expectEvents(watcher, ["join"], "ada");
        await simulation.check(channel);
      },
    };
  },

  "an unsubscribe and a $disconnect": async (simulation) => {
    const channel = `show:${simulation.name}`;
    await simulation.member("watcher", "bob", channel);
    const client = await simulation.member("client", "ada", channel);
    return {
      sides: [
        (step) => client.unsubscribe(simulation.container(step), channel),
        (step) => simulation.leave(client, step),
      ],
      check: () => simulation.check(channel),
    };
  },

  "a publish that finds a member gone and its $disconnect": async (simulation) => {
    const channel = `room:${simulation.name}`;
    const publisher = await simulation.member("publisher", "bob", channel);
    const client = await simulation.member("client", "ada", channel);
    return {
      sides: [
        (step) => publisher.publish(simulation.container(step), channel, "m1"),
        (step) => simulation.leave(client, step),
      ],
      check: async () => {
        simulation.expectEvents(publisher, ["join", "leave"], "ada");
        await simulation.check(channel);
      },
    };
  },
};
