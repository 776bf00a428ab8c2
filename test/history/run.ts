import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Judge } from "./checker.ts";
import { NO_FAULTS } from "./control.ts";
import { Tally } from "./event-counts.ts";
import { makeFaults } from "./faults.ts";
import { PACES } from "./load-profile.ts";
import type { Entry, Fact } from "./log.ts";
import { namespacesWith } from "./namespaces.ts";
import { own, untilStreaming } from "./owner.ts";
import { Random } from "./random.ts";
import type { Person } from "./simulated-client.ts";
import { ATTIC, TENANTS, USERS, World } from "./simulation.ts";
import type { Backing } from "./stores.ts";

/** At the end, without faults and without reconnects: what was lost of a tail must show by itself. */
export const CALM_MS = 5_000;
/** Before that: everyone has a fresh connection. */
export const SETTLE_MS = 1_500;
const LOOK_MS = 700;
const BACK_MS = 20_000;
/** A publication and its fan-out to a few take less. */
const QUICK_MS = 300;
/** Connections are this old at most when the calm begins, so that none reaches its lifetime limit in it. */
const FRESH_MS = 3_000;
/** Ticks of the server end what nobody ends by a message. A slow store gets longer than the calm for them, but not for ever. */
const CALM_TICKS = 3;
const LONGEST_CALM_MS = 2 * CALM_MS;
/** Within it, one is told that its connection has ended, and has its subscriptions. */
const NOTICE_MS = 200;
/** The most that a run takes longer, for what has not happened yet. A busy machine gets a tenth of the speed. */
const MOST_TIMES = 10;
const EXTRA_MS = 90_000;

const OUTSTANDING = 20;

export interface RunOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly backing: Backing;
  /** For the log and what the server keeps. */
  readonly folder: string;
  /** A bug that is put in, by its name in plants.ts. */
  readonly plant?: string | undefined;
}

export interface Verdict {
  readonly violations: readonly string[];
  readonly tally: Tally;
  /** The log. */
  readonly file: string;
}

/** Runs the world for a while, and has it judged as it goes: the first violation ends it. */
export async function run({ seed, seconds, backing, folder, plant }: RunOptions): Promise<Verdict> {
  const random = new Random(seed);
  const file = join(folder, "history.jsonl");
  const output = createWriteStream(file);
  const judge = new Judge();
  const tally = new Tally();
  const violations: string[] = [];
  const stop = new AbortController();
  const log = (fact: Fact) => {
    if (stop.signal.aborted) return;
    const entry: Entry = { t: Date.now(), ...fact };
    output.write(`${JSON.stringify(entry)}\n`);
    tally.take(entry);
    violations.push(...judge.take(entry));
    if (violations.length > 0) stop.abort();
  };
  const { store } = backing;
  const durable = store !== "memory";
  log({ kind: "run", seed, store, durable, namespaces: namespacesWith(PACES[store].graceMs), users: USERS });
  const world = new World({ backing, folder, random: random.fork(), log, plant });
  try {
    await world.start();
    const troubleMs = seconds * 1_000 - CALM_MS - SETTLE_MS;
    const since = Date.now();
    // On a busy machine some things happen late: they get the time.
    const most = plant === undefined ? MOST_TIMES * troubleMs + EXTRA_MS : troubleMs;
    const over = () => {
      const passed = Date.now() - since;
      return passed >= most || (passed >= troubleMs && tally.tooFew(troubleMs).length === 0);
    };
    await play(world, random, over, stop.signal);
    log({ kind: "end" });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    stop.abort();
    await world.stop();
    await new Promise((resolve) => output.end(resolve));
  }
  return { violations, tally, file };
}

async function play(world: World, random: Random, over: () => boolean, signal: AbortSignal): Promise<void> {
  const trouble = new AbortController();
  const timer = setInterval(() => over() && trouble.abort(), 50);
  const troubled = AbortSignal.any([signal, trouble.signal]);
  const publishing = world.people.map((person) => publish(world, person, random.fork(), troubled));
  const streaming = world.owners.map((owner) => own(world, owner, random.fork(), troubled));
  await makeFaults(world, random.fork(), troubled);
  clearInterval(timer);
  await Promise.all([...publishing, ...streaming]);
  await settle(world, signal);
  world.log({ kind: "calm" });
  // Who is gone without a word is found out by what is sent to them, or by their silence.
  for (const tenant of TENANTS) {
    world.publish(tenant, "room:lobby");
    world.publish(tenant, "room:side");
  }
  await Promise.all([sleep(CALM_MS - LOOK_MS, undefined, { signal }), ticked(world, signal)]);
  await Promise.all([...world.here.map((person) => person.lookAround()), world.lookAround()]);
  await sleep(LOOK_MS / 2, undefined, { signal });
}

/** One last time all connections end, so that none comes to its limit later; and one person goes without a word. */
async function settle(world: World, signal: AbortSignal): Promise<void> {
  world.speed = 1;
  await allBack(world, signal);
  const patience = AbortSignal.any([signal, AbortSignal.timeout(BACK_MS)]);
  const wait = (ms: number) => sleep(ms, undefined, { signal: patience }).catch(() => {});
  await Promise.all(world.owners.map((owner) => untilStreaming(owner, wait, patience)));
  for (const person of world.people.filter(({ options }) => options.name === "gone")) {
    person.network.halfOpen("client");
    person.go();
  }
  const [stays, leaves] = world.owners;
  leaves?.go();
  await renewConnections(world, signal);
  world.server.chances = { ...NO_FAULTS, deliveryLost: 1 };
  for (const tenant of TENANTS) world.publish(tenant, "quiet:news");
  await stays?.endStream();
  await stays?.startStream();
  await sleep(NOTICE_MS, undefined, { signal });
  world.server.chances = NO_FAULTS;
}

/** Again on a machine that is so busy that they got old before the server was quick. */
async function renewConnections(world: World, signal: AbortSignal): Promise<void> {
  const patience = AbortSignal.timeout(4 * BACK_MS);
  for (let since = 0; Date.now() - since > FRESH_MS && !patience.aborted; ) {
    since = Date.now();
    for (const { network } of world.here) network.cut();
    await sleep(NOTICE_MS, undefined, { signal });
    await allBack(world, signal);
    await untilQuick(world, signal);
  }
}

async function ticked(world: World, signal: AbortSignal): Promise<void> {
  const patience = AbortSignal.timeout(LONGEST_CALM_MS);
  const enough = world.ticks + CALM_TICKS;
  while (world.ticks < enough && !patience.aborted) await sleep(20, undefined, { signal });
}

/** Who does not come back in time is missing what comes after it. */
async function allBack(world: World, signal: AbortSignal): Promise<void> {
  const patience = AbortSignal.timeout(BACK_MS);
  while (!world.here.every(({ isBack }) => isBack) && !patience.aborted)
    await sleep(20, undefined, { signal });
  await sleep(NOTICE_MS, undefined, { signal });
}

/** A store that was asked too much works on it still: what is told within the calm must not wait for that. */
async function untilQuick(world: World, signal: AbortSignal): Promise<void> {
  const patience = AbortSignal.timeout(BACK_MS);
  for (let quick = 0; quick < 3 && !patience.aborted; ) {
    const since = Date.now();
    world.publish(TENANTS[0], "room:lobby");
    while (world.waits && !patience.aborted) await sleep(5, undefined, { signal });
    quick = Date.now() - since < QUICK_MS ? quick + 1 : 0;
  }
}

/** Publishes now and then, wherever it may; by the server too. */
async function publish(world: World, person: Person, random: Random, signal: AbortSignal): Promise<void> {
  const { tenant } = person.options;
  const channels = person.options.channels.filter((channel) => channel !== ATTIC);
  let outstanding = 0;
  while (!signal.aborted) {
    await sleep(random.between(...world.pace.thinkMs), undefined, { signal }).catch(() => {});
    if (signal.aborted || outstanding >= OUTSTANDING || channels.length === 0) continue;
    const channel = random.pick(channels);
    if (random.chance(0.1)) world.publish(tenant, channel);
    else {
      outstanding++;
      void person.publish(channel).finally(() => outstanding--);
    }
  }
}
