import { setTimeout as sleep } from "node:timers/promises";
import { aborted } from "node:util";
import type { Random } from "./random.ts";
import { REQUEST_KINDS } from "./request-script.ts";
import type { LoggedJob, RequestUser } from "./request-user.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import type { Simulation } from "./simulation.ts";

/** The fault of a client that loses its connection within a long request. */
export const CUT_AT_MESSAGE = "cut at a request's message";

const PAUSE_MS = [0, 200] as const;
const ACT_MS = [0, 1_200] as const;
const RACE_MS = [0, 20] as const;
const CUT_MESSAGES = [1, 12] as const;
/** A lease of a worker whose clock is a minute ahead lasts that much longer. */
const END_TIMEOUT_MS = 100_000;
const CONCURRENT_READS = 8;

/** Makes requests of one tenant's user until the signal aborts, and watches and cancels them from two connections. */
export async function runRequests(
  simulation: Simulation,
  tenant: string,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  const run = async (slot: number) => {
    for (let number = 1; !signal.aborted; number++) {
      await wait(random.between(...PAUSE_MS), signal);
      // Both tenants have the same ids, except some that show who may read them.
      const id = `${number % 2 === 0 ? `only-${tenant}` : "both"}-${slot}-${number}`;
      if (!signal.aborted) await runRequest(simulation, tenant, id, random, signal);
    }
  };
  await Promise.all(Array.from({ length: simulation.profile.requests.outstanding }, (_, slot) => run(slot)));
}

async function runRequest(
  simulation: Simulation,
  tenant: string,
  id: string,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  const [maker, other] = usersOf(simulation, tenant) as [SimulatedClient, SimulatedClient];
  simulation.requested.push({ tenant, id });
  const racesCompletion = random.chance(0.3);
  if (random.chance(0.3)) {
    maker.requests.cutAfter(id, random.integer(...CUT_MESSAGES), () => cut(simulation, maker, signal));
  }
  const job: LoggedJob = maker.requests.make(id, random.pick(REQUEST_KINDS), ({ percentage }) => {
    if (racesCompletion && percentage >= 100) setTimeout(() => job.cancel(), random.between(...RACE_MS));
  });
  const acts = [
    () => other.requests.attach(id),
    () => maker.requests.attach(id),
    () => random.pick([job, other.requests.attach(id)]).cancel(),
    () => {
      job.leave();
      maker.requests.attach(id);
    },
  ];
  const acting = random
    .shuffled(acts)
    .slice(0, random.integer(0, 2))
    .map(async (act) => {
      await wait(random.between(...ACT_MS), signal);
      if (!signal.aborted) act();
    });
  // The run may have ended already: by a violation that `make` has logged.
  await Promise.race([job.ended, aborted(signal, simulation)]);
  await Promise.all(acting);
}

function cut(simulation: Simulation, client: SimulatedClient, signal: AbortSignal): void {
  if (signal.aborted) return;
  simulation.fault(CUT_AT_MESSAGE);
  client.network.cut();
}

/** Waits for the end of all requests, and reads each one as its owner, and as others. */
export async function checkRequests(simulation: Simulation, signal: AbortSignal): Promise<void> {
  const timeout = AbortSignal.any([signal, AbortSignal.timeout(END_TIMEOUT_MS)]);
  const users = simulation.clients.map(({ requests }) => requests);
  const open = () => users.flatMap((user) => user.open);
  const late = aborted(timeout, simulation);
  while (open().length > 0 && !timeout.aborted) await Promise.race([Promise.all(open()), late]);
  const requests = [...simulation.requested];
  await Promise.all(
    Array.from({ length: CONCURRENT_READS }, async () => {
      for (let next = requests.shift(); next !== undefined && !signal.aborted; next = requests.shift()) {
        await readRequest(simulation, next);
      }
    }),
  );
  await Promise.race([Promise.all(open()), late]);
}

async function readRequest(
  simulation: Simulation,
  { tenant, id }: { readonly tenant: string; readonly id: string },
): Promise<void> {
  const [maker, other] = usersOf(simulation, tenant) as [SimulatedClient, SimulatedClient];
  const name = maker.requests.nameOf(id);
  await other.requests.read(name);
  // Its output, from the start.
  await Promise.race([other.requests.attach(id).ended, sleep(10_000, undefined, { ref: false })]);
  const strangers: RequestUser[] = simulation.clients
    .filter(({ options }) =>
      options.tenant === tenant ? options.name === "hermit" : options.name === "asker2",
    )
    .map(({ requests }) => requests);
  for (const stranger of strangers) {
    // In the other tenant the same user may have a request with this id.
    if (!id.startsWith("both") || stranger.nameOf(id).tenant === tenant) await stranger.read(name);
  }
}

function usersOf({ clients }: Simulation, tenant: string): SimulatedClient[] {
  return clients.filter(({ options }) => options.tenant === tenant && options.name.startsWith("asker"));
}

function wait(ms: number, signal: AbortSignal): Promise<unknown> {
  return sleep(ms, undefined, { signal }).catch(() => {});
}
