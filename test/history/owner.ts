import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "./random.ts";
import type { Person } from "./simulated-client.ts";
import type { World } from "./simulation.ts";

const STAY_MS = [100, 600] as const;
/** A short absence, in parts of the grace that a stream has. */
const SHORT = [0.05, 0.3] as const;
/** Beyond the grace: until it is known that a connection has vanished, and looked whether it has come back. */
const LONG_MS = 2_000;
/** A slow store takes longer to end a stream. */
const LONGEST_MS = 20_000;
const LOOK_MS = 50;
const AGAIN_MS = 100;

/** Streams until it is told to stop: ends, goes away and comes back, in time or too late. */
export async function own(world: World, owner: Person, random: Random, signal: AbortSignal): Promise<void> {
  const { graceMs } = world.pace;
  const wait = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  const endings = [
    () => owner.endStream(),
    () => absence(owner, random, () => wait(graceMs * random.between(...SHORT))),
    () => absence(owner, random, () => untilEnded(world, owner, wait, signal)),
  ];
  while (!signal.aborted) {
    for (const ending of random.shuffled(endings)) {
      await untilStreaming(owner, wait, signal);
      await wait(random.between(...STAY_MS));
      if (signal.aborted) return;
      await ending();
    }
  }
}

/** What fails is tried again. */
export async function untilStreaming(
  owner: Person,
  wait: (ms: number) => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted && !(await owner.startStream())) await wait(AGAIN_MS);
}

/** With a word to the server or without. */
async function absence(owner: Person, random: Random, away: () => Promise<unknown>): Promise<void> {
  owner.vanish(random.chance(0.5) ? "cut" : "silence");
  await away();
  await owner.comeBack();
}

/** Waits until a viewer is told that the stream has ended, but not for ever: viewers lose their connections too. */
async function untilEnded(
  world: World,
  { options: { tenant } }: Person,
  wait: (ms: number) => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const ends = world.streamEnds.get(tenant);
  const patience = AbortSignal.any([signal, AbortSignal.timeout(LONGEST_MS)]);
  await wait(world.pace.graceMs + LONG_MS);
  while (world.streamEnds.get(tenant) === ends && !patience.aborted) await wait(LOOK_MS);
}
