import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { aborted } from "node:util";
import { Checker } from "./checker.ts";
import { EventCounts } from "./event-counts.ts";
import { injectFaults } from "./faults.ts";
import { LOAD_PROFILES } from "./load-profile.ts";
import type { LogEntry, LogEvent } from "./log.ts";
import { checkRequests, runRequests } from "./long-requests.ts";
import { namespacesWith } from "./namespaces.ts";
import { NO_FAULTS } from "./process-messages.ts";
import { Random } from "./random.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import { SILENT_CHANNEL, Simulation, TENANTS, USERS } from "./simulation.ts";
import type { StoreConfig } from "./stores.ts";
import { runOwner, untilStreaming } from "./stream-owner.ts";

/** Time at the end without faults and reconnects, in which the loss of a last message must show. */
export const CALM_MS = 5_000;
/** Time before it in which all clients get new connections. */
export const SETTLE_MS = 1_500;
const OBSERVE_MS = 700;
const RECONNECT_TIMEOUT_MS = 20_000;
/** A publication and its fan-out to a few clients take less. */
const FAST_MS = 300;
/** Maximum age of connections at the start of the calm, so that none reaches its lifetime limit. */
const FRESH_MS = 3_000;
/** Ticks that the calm needs: they end what no message ends. With a slow store the calm is longer. */
const CALM_TICKS = 3;
const MAX_CALM_MS = 2 * CALM_MS;
/** Time in which a client detects a closed connection, or completes its subscriptions. */
const NOTICE_MS = 200;
/** Limit of the extra time for events that have not happened yet: a busy machine may run at a tenth of the speed. */
const MAX_SLOWDOWN = 10;
const EXTRA_MS = 90_000;
/** The phases after the faults take less: they wait for requests, for new connections and for ticks. */
const MAX_END_MS = 300_000;
/** Interval of the progress lines. */
const PROGRESS_MS = 30_000;

/** Unanswered publications that a client may have. */
const MAX_OUTSTANDING = 20;

export interface RunOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly storeConfig: StoreConfig;
  /** Folder of the log and the server's files. */
  readonly folder: string;
  /** Name of a bug in seeded-bugs.ts. */
  readonly bug?: string | undefined;
  /** Takes a line on the progress every 30 s. Default: none. */
  readonly report?: ((line: string) => void) | undefined;
}

export interface RunResult {
  readonly violations: readonly string[];
  readonly counts: EventCounts;
  /** Path of the log. */
  readonly file: string;
}

/**
 * Runs the simulation and checks its log as it grows. The first violation ends the run.
 * @throws Error when the run does not end
 */
export async function run({
  seed,
  seconds,
  storeConfig,
  folder,
  bug,
  report,
}: RunOptions): Promise<RunResult> {
  const random = new Random(seed);
  const file = join(folder, "history.jsonl");
  const output = createWriteStream(file);
  const checker = new Checker();
  const counts = new EventCounts();
  const violations: string[] = [];
  const stop = new AbortController();
  const log = (event: LogEvent) => {
    if (stop.signal.aborted) return;
    const entry: LogEntry = { t: Date.now(), ...event };
    output.write(`${JSON.stringify(entry)}\n`);
    counts.take(entry);
    violations.push(...checker.take(entry));
    if (violations.length > 0) stop.abort();
  };
  const { store } = storeConfig;
  const durable = store !== "memory";
  log({
    kind: "run",
    seed,
    store,
    durable,
    namespaces: namespacesWith(LOAD_PROFILES[store].graceMs),
    users: USERS,
  });
  const simulation = new Simulation({ storeConfig, folder, random: random.fork(), log, bug });
  const faultMs = seconds * 1_000 - CALM_MS - SETTLE_MS;
  let progress: NodeJS.Timeout | undefined;
  try {
    await simulation.start();
    const since = Date.now();
    progress = setInterval(() => report?.(progressLine(Date.now() - since, faultMs, counts)), PROGRESS_MS);
    // On a busy machine some events happen late, so the run is extended.
    const maxMs = bug === undefined ? MAX_SLOWDOWN * faultMs + EXTRA_MS : faultMs;
    const isOver = () => {
      const passed = Date.now() - since;
      return passed >= maxMs || (passed >= faultMs && counts.shortfalls(faultMs).length === 0);
    };
    // A phase may wait for something that never comes once a promise is broken.
    const limit = AbortSignal.any([stop.signal, AbortSignal.timeout(maxMs + MAX_END_MS)]);
    await Promise.race([runPhases(simulation, random, isOver, stop.signal), aborted(limit, simulation)]);
    if (limit.aborted && !stop.signal.aborted) {
      throw new Error(`The run did not end in ${maxMs + MAX_END_MS} ms (log: ${file})`);
    }
    log({ kind: "end" });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    clearInterval(progress);
    stop.abort();
    await simulation.stop();
    await new Promise((resolve) => output.end(resolve));
  }
  return { violations, counts, file };
}

/** Once the time is over, it says what the run still waits for. */
function progressLine(passedMs: number, faultMs: number, counts: EventCounts): string {
  const passed = `${Math.round(passedMs / 1_000)} s: ${counts.count("published")} published`;
  return passedMs < faultMs ? passed : [passed, ...counts.shortfalls(faultMs)].join("; ");
}

async function runPhases(
  simulation: Simulation,
  random: Random,
  isOver: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  const stopFaults = new AbortController();
  const timer = setInterval(() => isOver() && stopFaults.abort(), 50);
  const faultSignal = AbortSignal.any([signal, stopFaults.signal]);
  const publishing = simulation.clients.map((client) =>
    publish(simulation, client, random.fork(), faultSignal),
  );
  const requesting = TENANTS.map((tenant) => runRequests(simulation, tenant, random.fork(), faultSignal));
  const streaming = simulation.owners.map((owner) => runOwner(simulation, owner, random.fork(), faultSignal));
  await injectFaults(simulation, random.fork(), faultSignal);
  clearInterval(timer);
  await Promise.all([...publishing, ...streaming, ...requesting]);
  simulation.speed = 1;
  // It takes longer than the calm, in which connections are young.
  await checkRequests(simulation, signal);
  await settle(simulation, signal);
  simulation.log({ kind: "calm" });
  // The server detects lost connections when it sends to them, or by their silence.
  for (const tenant of TENANTS) {
    simulation.publish(tenant, "room:lobby");
    simulation.publish(tenant, "room:side");
  }
  await Promise.all([sleep(CALM_MS - OBSERVE_MS, undefined, { signal }), untilTicked(simulation, signal)]);
  await Promise.all([...simulation.present.map((client) => client.observe()), simulation.observe()]);
  await sleep(OBSERVE_MS / 2, undefined, { signal });
}

/** Renews all connections, so that none reaches its limit in the calm. One client of each tenant vanishes. */
async function settle(simulation: Simulation, signal: AbortSignal): Promise<void> {
  await allReady(simulation, signal);
  const timeout = AbortSignal.any([signal, AbortSignal.timeout(RECONNECT_TIMEOUT_MS)]);
  const wait = (ms: number) => sleep(ms, undefined, { signal: timeout }).catch(() => {});
  await Promise.all(simulation.owners.map((owner) => untilStreaming(owner, wait, timeout)));
  for (const client of simulation.clients.filter(({ options }) => options.name === "leaver")) {
    client.network.halfOpen("client");
    client.stop();
  }
  const [stays, leaves] = simulation.owners;
  leaves?.stop();
  await renewConnections(simulation, signal);
  simulation.server.faultRates = { ...NO_FAULTS, deliveryLost: 1 };
  for (const tenant of TENANTS) simulation.publish(tenant, "quiet:news");
  await stays?.endStream();
  await stays?.startStream();
  await sleep(NOTICE_MS, undefined, { signal });
  simulation.server.faultRates = NO_FAULTS;
}

/** Repeats on a busy machine, where connections get old before the server is fast again. */
async function renewConnections(simulation: Simulation, signal: AbortSignal): Promise<void> {
  const timeout = AbortSignal.timeout(4 * RECONNECT_TIMEOUT_MS);
  for (let since = 0; Date.now() - since > FRESH_MS && !timeout.aborted; ) {
    since = Date.now();
    for (const { network } of simulation.present) network.cut();
    await sleep(NOTICE_MS, undefined, { signal });
    await allReady(simulation, signal);
    await untilFast(simulation, signal);
  }
}

async function untilTicked(simulation: Simulation, signal: AbortSignal): Promise<void> {
  const timeout = AbortSignal.timeout(MAX_CALM_MS);
  const target = simulation.ticks + CALM_TICKS;
  while (simulation.ticks < target && !timeout.aborted) await sleep(20, undefined, { signal });
}

/** Waits for all clients. A client that is late misses messages, which the checker reports. */
async function allReady(simulation: Simulation, signal: AbortSignal): Promise<void> {
  const timeout = AbortSignal.timeout(RECONNECT_TIMEOUT_MS);
  while (!simulation.present.every(({ isReady }) => isReady) && !timeout.aborted)
    await sleep(20, undefined, { signal });
  await sleep(NOTICE_MS, undefined, { signal });
}

/** An overloaded store is still busy after the faults end. Events of the calm must not wait for it. */
async function untilFast(simulation: Simulation, signal: AbortSignal): Promise<void> {
  const timeout = AbortSignal.timeout(RECONNECT_TIMEOUT_MS);
  for (let fast = 0; fast < 3 && !timeout.aborted; ) {
    const since = Date.now();
    simulation.publish(TENANTS[0], "room:lobby");
    while (simulation.isPublishing && !timeout.aborted) await sleep(5, undefined, { signal });
    fast = Date.now() - since < FAST_MS ? fast + 1 : 0;
  }
}

/** Publishes at random intervals to random channels, one in ten times from the server. */
async function publish(
  simulation: Simulation,
  client: SimulatedClient,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  const { tenant } = client.options;
  const channels = client.options.channels.filter((channel) => channel !== SILENT_CHANNEL);
  let outstanding = 0;
  while (!signal.aborted) {
    await sleep(random.between(...simulation.profile.publishIntervalMs), undefined, { signal }).catch(
      () => {},
    );
    if (signal.aborted || outstanding >= MAX_OUTSTANDING || channels.length === 0) continue;
    const channel = random.pick(channels);
    if (random.chance(0.1)) simulation.publish(tenant, channel);
    else {
      outstanding++;
      void client.publish(channel).finally(() => outstanding--);
    }
  }
}
