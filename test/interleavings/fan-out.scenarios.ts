import type { Step } from "../support/interleaving.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import type { Scenarios, Simulation } from "./simulation.ts";

/** Publications, and the clients and processes that must not miss them. */
export const FAN_OUT: Scenarios = {
  "a publish and a first subscribe": async (simulation) => {
    const channel = `room:${simulation.name}`;
    const publisher = await simulation.member("publisher", "bob", channel);
    await publisher.publish(simulation.container(), channel, "m1");
    const client = simulation.client("client", "ada");
    await client.connect(simulation.container());
    return {
      sides: [
        (step) => publisher.publish(simulation.container(step), channel, "m2"),
        (step) => client.subscribe(simulation.container(step), channel, 10),
      ],
      check: () => simulation.check(channel),
    };
  },

  "a publish and a reconnect": async (simulation) => {
    const channel = `plain:${simulation.name}`;
    const publisher = await simulation.member("publisher", "bob", channel);
    const client = await simulation.member("client", "ada", channel);
    await publisher.publish(simulation.container(), channel, "m1");
    await simulation.lose(client);
    await publisher.publish(simulation.container(), channel, "m2");
    await client.connect(simulation.container());
    return {
      sides: [
        (step) => publisher.publish(simulation.container(step), channel, "m3"),
        (step) => client.subscribe(simulation.container(step), channel),
      ],
      check: () => simulation.check(channel),
    };
  },

  "the publishes of two processes": async (simulation) => {
    const channel = `plain:${simulation.name}`;
    const publishers = [
      await simulation.member("first", "ada", channel),
      await simulation.member("second", "bob", channel),
    ];
    return {
      sides: publishers.map(
        (publisher, n) => (step) => publisher.publish(simulation.container(step), channel, `m${n}`),
      ),
      check: () => simulation.check(channel),
    };
  },

  "two publishes with the same key": async (simulation) => {
    const channel = `plain:${simulation.name}`;
    const publisher = await simulation.member("publisher", "bob", channel);
    await simulation.member("client", "ada", channel);
    return {
      sides: [1, 2].map(
        () => (step: Step) => publisher.publish(simulation.container(step), channel, "m1", "key"),
      ),
      check: () => simulation.check(channel),
    };
  },

  "a publish and a recovery": async (simulation) => {
    const { channel, publisher } = await publisherAndMember(simulation);
    return {
      sides: [
        (step) => publisher.publish(simulation.container(step), channel, "m1"),
        (step) => simulation.recover(step),
      ],
      check: () => simulation.check(channel),
    };
  },

  "two recoveries": async (simulation) => {
    const { channel } = await publisherAndMember(simulation);
    await simulation.storeOnly(channel, "m1");
    return {
      sides: [1, 2].map(() => (step: Step) => simulation.recover(step)),
      check: () => simulation.check(channel),
    };
  },

  "a publisher that dies at any moment and a recovery": async (simulation) => {
    const { channel, publisher } = await publisherAndMember(simulation);
    const life = Promise.withResolvers<undefined>();
    let isAlive = true;
    /** The steps of a dead process do nothing, and it waits for them without an end. */
    const mortal =
      (step: Step): Step =>
      async (call) => {
        const outcome = await step(async () => (isAlive ? { result: await call() } : undefined));
        return outcome === undefined ? new Promise(() => {}) : outcome.result;
      };
    return {
      sides: [
        async (step) => {
          const published = publisher.publish(simulation.container(mortal(step)), channel, "m1");
          const outcome = await Promise.race([published.then(() => "answered"), life.promise]);
          if (outcome !== "answered") {
            simulation.write({ kind: "refused", uid: "m1", code: "CONNECTION_CLOSED", mayBeStored: true });
          }
        },
        async (step) => {
          await step(async () => {
            isAlive = false;
            life.resolve(undefined);
          });
          await simulation.recover(step);
        },
      ],
      check: async () => {
        await simulation.recover();
        await simulation.check(channel);
      },
    };
  },
};

async function publisherAndMember(simulation: Simulation): Promise<{
  readonly channel: string;
  readonly publisher: SimulatedClient;
}> {
  const channel = `plain:${simulation.name}`;
  const publisher = await simulation.member("publisher", "bob", channel);
  await simulation.member("client", "ada", channel);
  return { channel, publisher };
}
