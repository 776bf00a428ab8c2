import { setTimeout as sleep } from "node:timers/promises";
import { FAULT_NAMES } from "./fault-injector.ts";
import { CUT_AT_MESSAGE } from "./long-requests.ts";
import { type Crash, type FaultRates, NO_FAULTS } from "./process-messages.ts";
import type { Random } from "./random.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import type { Simulation } from "./simulation.ts";

/** Fault rates during the whole run. */
const BASE_RATES: FaultRates = {
  storeFails: 0.004,
  storeFailsAfter: 0.004,
  storeSlow: 0.01,
  storeThrottled: 0.005,
  requestsThrottled: 0.005,
  invocationLate: 0.03,
  handlerCrashesBefore: 0.005,
  handlerCrashesAfter: 0.005,
  deliveryLost: 0.01,
  answerLost: 0.01,
  deliveryTwice: 0.03,
  deliveryLate: 0.05,
};

/** Rate of one fault during its burst. */
const BURST_RATE = 0.4;
const STALL_MS = [100, 900] as const;
const UNSUBSCRIBED_MS = [100, 1_500] as const;
/** How long a kill that depends on the next stored message may take. */
const KILL_TIMEOUT_MS = 2_000;

type Fault = (simulation: Simulation, random: Random) => Promise<unknown> | unknown;

const NETWORK_FAULTS: { readonly [name: string]: Fault } = {
  cut: toSome(({ network }) => network.cut()),
  "cut mid-frame": toSome(({ network }, random) => network.cutMidFrame(random.pick(["client", "server"]))),
  stall: toSome(({ network }, random) => network.stall(random.between(...STALL_MS))),
  "client vanished": (simulation, random) => {
    toSome(({ network }) => network.halfOpen("client"))(simulation, random);
    for (const { options, network } of simulation.connected)
      if (options.name === "hermit") network.halfOpen("client");
  },
  "server vanished": toSome(({ network }) => network.halfOpen("server")),
};

const PROCESS_FAULTS: { readonly [name: string]: Fault } = {
  killed: (simulation) => untilRestarted(simulation, () => simulation.server.kill()),
  "killed before the store": (simulation) => killAt(simulation, "before the store"),
  "killed after the store": (simulation) => killAt(simulation, "after the store"),
  "killed before a request's call": (simulation, random) =>
    killAt(simulation, "before the store", random.integer(0, MAX_CALLS)),
  "killed after a request's call": (simulation, random) =>
    killAt(simulation, "after the store", random.integer(0, MAX_CALLS)),
};

const EARLY_WORKER = "early worker";
/** It takes so long that it happens between rounds of the other faults, and rarely. */
export const THROTTLED = "request store throttled for 10 s";

/** Calls about requests that a killed process still makes. */
const MAX_CALLS = 8;
const THROTTLED_MS = 10_000;
const THROTTLED_EVERY_MS = 40_000;

/** A client unsubscribes and subscribes again. */
const LEAVING = "channel left";

/** Faults by their names in the log. */
const FAULTS: readonly (readonly [name: string, Fault])[] = [
  ...Object.entries(NETWORK_FAULTS),
  ...Object.entries(FAULT_NAMES).map(([fault, name]) => [name, burst(fault as keyof FaultRates)] as const),
  [LEAVING, resubscribe],
  [EARLY_WORKER, startEarlyWorker],
];

/** Faults that come from the clocks of the gateway and the clients. */
const CLOCK_FAULTS = ["idle limit", "lifetime limit"];

/** Faults that must happen for a run to count. */
export const FAULT_KINDS: readonly string[] = [
  CUT_AT_MESSAGE,
  ...FAULTS.map(([name]) => name),
  ...Object.keys(PROCESS_FAULTS),
  ...CLOCK_FAULTS,
];

/** Injects faults one after the other, each about as often, until the signal aborts. */
export async function injectFaults(
  simulation: Simulation,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  simulation.server.faultRates = BASE_RATES;
  let throttledAt = Date.now() - THROTTLED_EVERY_MS / 2;
  while (!signal.aborted) {
    if (Date.now() - throttledAt > THROTTLED_EVERY_MS) {
      throttledAt = Date.now();
      await throttleRequests(simulation, signal);
    }
    // Process faults come last, so that connections get old first.
    for (const [name, fault] of [
      ...random.shuffled(FAULTS),
      // Twice in each round: it needs requests that run.
      [EARLY_WORKER, startEarlyWorker] as const,
      ...random.shuffled(Object.entries(PROCESS_FAULTS)),
    ]) {
      if (signal.aborted) break;
      const isKill = Object.hasOwn(PROCESS_FAULTS, name);
      // A process that ends before its clients are back proves little.
      const needed = isKill ? Math.floor(simulation.present.length / 2) : 1;
      await until(() => simulation.connected.length >= needed, signal);
      if (name === LEAVING) simulation.fault(name);
      await fault(simulation, random);
      await sleep(random.between(...simulation.profile.faultIntervalMs), undefined, { signal }).catch(
        () => {},
      );
    }
  }
  simulation.server.faultRates = NO_FAULTS;
}

/** Applies a fault to one to three clients. */
function toSome(fault: (client: SimulatedClient, random: Random) => void): Fault {
  return ({ connected }, random) => {
    for (const client of random.shuffled(connected).slice(0, random.integer(1, 3))) fault(client, random);
  };
}

function burst(fault: keyof FaultRates): Fault {
  return async ({ server, profile }, random) => {
    server.faultRates = { ...BASE_RATES, [fault]: BURST_RATE };
    await sleep(random.between(...profile.burstMs));
    server.faultRates = BASE_RATES;
  };
}

async function throttleRequests(simulation: Simulation, signal: AbortSignal): Promise<void> {
  simulation.fault(THROTTLED);
  simulation.server.faultRates = { ...BASE_RATES, requestsThrottled: 1 };
  await sleep(THROTTLED_MS, undefined, { signal }).catch(() => {});
  simulation.server.faultRates = BASE_RATES;
}

function killAt(simulation: Simulation, when: Crash["when"], requestCalls?: number): Promise<void> {
  const place = requestCalls === undefined ? "the store" : "a request's call";
  return untilRestarted(simulation, () => {
    if (simulation.server.send({ type: "crash", when, requestCalls }))
      simulation.killReason = `killed ${when.replace("the store", place)}`;
  });
}

function startEarlyWorker(simulation: Simulation): void {
  if (simulation.server.send({ type: "start early worker" })) simulation.fault(EARLY_WORKER);
}

/** Kills the process and waits for the next one. */
async function untilRestarted(simulation: Simulation, kill: () => void): Promise<void> {
  const { starts } = simulation.server;
  const timeout = AbortSignal.timeout(KILL_TIMEOUT_MS);
  kill();
  const isRestarted = () => simulation.server.starts > starts && simulation.server.isListening;
  await until(isRestarted, timeout);
  if (simulation.server.starts > starts) return;
  // The call did not come, and must not come later.
  simulation.killReason = "killed";
  simulation.server.kill();
  await until(isRestarted, AbortSignal.timeout(KILL_TIMEOUT_MS));
}

async function until(holds: () => boolean, signal: AbortSignal): Promise<void> {
  while (!holds() && !signal.aborted) await sleep(20);
}

async function resubscribe(simulation: Simulation, random: Random): Promise<void> {
  const client = random.pick(simulation.present);
  const channel = random.pick(client.options.channels);
  // Owners leave their channel in their own way: see stream-owner.ts.
  if (!client.isSubscribed(channel) || simulation.owners.includes(client)) return;
  client.unsubscribe(channel);
  const subscribe = () => client.isPresent && client.subscribe(channel);
  setTimeout(subscribe, random.between(...UNSUBSCRIBED_MS));
}
