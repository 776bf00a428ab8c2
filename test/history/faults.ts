import { setTimeout as sleep } from "node:timers/promises";
import { type Chances, NO_FAULTS } from "./control.ts";
import { FAULT_NAMES } from "./fault-injector.ts";
import type { Random } from "./random.ts";
import type { Person } from "./simulated-client.ts";
import type { World } from "./simulation.ts";

/** Always, a little. */
const USUAL: Chances = {
  storeFails: 0.004,
  storeFailsAfter: 0.004,
  storeSlow: 0.01,
  storeThrottled: 0.005,
  invocationLate: 0.03,
  handlerCrashesBefore: 0.005,
  handlerCrashesAfter: 0.005,
  deliveryLost: 0.01,
  answerLost: 0.01,
  deliveryTwice: 0.03,
  deliveryLate: 0.05,
};

/** For a moment, much. */
const MUCH = 0.4;
const STALL_MS = [100, 900] as const;
const AWAY_MS = [100, 1_500] as const;
/** What is to go wrong by chance gets so long. */
const PATIENCE_MS = 2_000;

type Fault = (world: World, random: Random) => Promise<unknown> | unknown;

const NETWORK: { readonly [name: string]: Fault } = {
  cut: some(({ network }) => network.cut()),
  "cut mid-frame": some(({ network }, random) => network.cutMidFrame(random.pick(["client", "server"]))),
  stall: some(({ network }, random) => network.stall(random.between(...STALL_MS))),
  "client vanished": (world, random) => {
    some(({ network }) => network.halfOpen("client"))(world, random);
    for (const { options, network } of world.connected)
      if (options.name === "hermit") network.halfOpen("client");
  },
  "server vanished": some(({ network }) => network.halfOpen("server")),
};

const PROCESS: { readonly [name: string]: Fault } = {
  killed: (world) => ended(world, () => world.server.kill()),
  "killed before the store": (world) => die(world, "before the store"),
  "killed after the store": (world) => die(world, "after the store"),
};

/** Somebody leaves a channel, and comes back to it. */
const LEAVING = "channel left";

/** Each with the name that the log has for it. */
const FAULTS: readonly (readonly [name: string, Fault])[] = [
  ...Object.entries(NETWORK),
  ...Object.entries(FAULT_NAMES).map(([chance, name]) => [name, much(chance as keyof Chances)] as const),
  [LEAVING, leave],
];

/** What the gateway's clock brings, and the clients' own. */
const BY_TIME = ["idle limit", "lifetime limit"];

/** All that must have happened for a run to count. */
export const FAULT_KINDS: readonly string[] = [
  ...FAULTS.map(([name]) => name),
  ...Object.keys(PROCESS),
  ...BY_TIME,
];

/** Does what goes wrong, one after the other and all of it about as often, until it is told to stop. */
export async function makeFaults(world: World, random: Random, signal: AbortSignal): Promise<void> {
  world.server.chances = USUAL;
  while (!signal.aborted) {
    // The process last, so that connections get old before.
    for (const [name, fault] of [...random.shuffled(FAULTS), ...random.shuffled(Object.entries(PROCESS))]) {
      if (signal.aborted) break;
      await until(() => world.connected.length > 0, signal);
      if (name === LEAVING) world.fault(name);
      await fault(world, random);
      await sleep(random.between(...world.pace.pauseMs), undefined, { signal }).catch(() => {});
    }
  }
  world.server.chances = NO_FAULTS;
}

/** To one or a few at once. */
function some(fault: (person: Person, random: Random) => void): Fault {
  return ({ connected }, random) => {
    for (const person of random.shuffled(connected).slice(0, random.integer(1, 3))) fault(person, random);
  };
}

function much(chance: keyof Chances): Fault {
  return async ({ server, pace }, random) => {
    server.chances = { ...USUAL, [chance]: MUCH };
    await sleep(random.between(...pace.momentMs));
    server.chances = USUAL;
  };
}

function die(world: World, when: "before the store" | "after the store"): Promise<void> {
  return ended(world, () => {
    if (world.server.send({ type: "die", when })) world.dying = `killed ${when}`;
  });
}

/** Waits for the next process as well. */
async function ended(world: World, act: () => void): Promise<void> {
  const { life } = world.server;
  const patience = AbortSignal.timeout(PATIENCE_MS);
  act();
  await until(() => world.server.life > life && world.server.listens, patience);
}

async function until(holds: () => boolean, signal: AbortSignal): Promise<void> {
  while (!holds() && !signal.aborted) await sleep(20);
}

async function leave(world: World, random: Random): Promise<void> {
  const person = random.pick(world.here);
  const channel = random.pick(person.options.channels);
  // Its owner stays where they stream: they leave it as owners do.
  if (!person.listensTo(channel) || world.owners.includes(person)) return;
  person.leave(channel);
  const back = () => person.isHere && person.listen(channel);
  setTimeout(back, random.between(...AWAY_MS));
}
