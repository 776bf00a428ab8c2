import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "./random.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import type { Simulation } from "./simulation.ts";

const STREAMING_MS = [100, 600] as const;
/** Short absence, as a share of the grace period. */
const SHORT_ABSENCE = [0.05, 0.3] as const;
/** Time beyond the grace period that it takes to detect a lost connection and end the stream. */
const DETECTION_MS = 2_000;
/** Limit for a slow store to end a stream. */
const END_TIMEOUT_MS = 20_000;
const POLL_MS = 50;
const RETRY_MS = 100;

/** Streams until the signal aborts: ends the stream, or disconnects and returns within the grace period or after it. */
export async function runOwner(
  simulation: Simulation,
  owner: SimulatedClient,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  const { graceMs } = simulation.profile;
  const wait = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  const endings = [
    () => owner.endStream(),
    () => disconnectDuring(owner, random, () => wait(graceMs * random.between(...SHORT_ABSENCE))),
    () => disconnectDuring(owner, random, () => untilEnded(simulation, owner, wait, signal)),
  ];
  while (!signal.aborted) {
    for (const ending of random.shuffled(endings)) {
      await untilStreaming(owner, wait, signal);
      await wait(random.between(...STREAMING_MS));
      if (signal.aborted) return;
      await ending();
    }
  }
}

/** Starts the stream, with retries. */
export async function untilStreaming(
  owner: SimulatedClient,
  wait: (ms: number) => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted && !(await owner.startStream())) await wait(RETRY_MS);
}

/** Disconnects the owner, with a close frame or silently, and reconnects after `away`. */
async function disconnectDuring(
  owner: SimulatedClient,
  random: Random,
  away: () => Promise<unknown>,
): Promise<void> {
  owner.vanish(random.chance(0.5) ? "cut" : "silence");
  await away();
  await owner.reconnect();
}

/** Waits until a viewer receives the end of the stream. The time is limited: viewers lose their connections too. */
async function untilEnded(
  simulation: Simulation,
  { options: { tenant } }: SimulatedClient,
  wait: (ms: number) => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const ends = simulation.streamEnds.get(tenant);
  const timeout = AbortSignal.any([signal, AbortSignal.timeout(END_TIMEOUT_MS)]);
  await wait(simulation.profile.graceMs + DETECTION_MS);
  while (simulation.streamEnds.get(tenant) === ends && !timeout.aborted) await wait(POLL_MS);
}
