import { setTimeout as sleep } from "node:timers/promises";
import type { Person } from "./person.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

const STAY_MS = [100, 600] as const;
/** A short absence, in parts of the grace that a stream has. */
const SHORT = [0.05, 0.3] as const;
/** Beyond the grace: until it is known that a connection has vanished, and looked whether it has come back. */
const LONG_MS = 2_000;
const AGAIN_MS = 100;

/** Streams until it is told to stop: ends, goes away and comes back, in time or too late. */
export async function own(world: World, owner: Person, random: Random, signal: AbortSignal): Promise<void> {
  const { graceMs } = world.pace;
  const wait = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  const endings = [
    () => owner.endStream(),
    () => absence(owner, random, graceMs * random.between(...SHORT), wait),
    () => absence(owner, random, graceMs + LONG_MS, wait),
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
async function absence(
  owner: Person,
  random: Random,
  ms: number,
  wait: (ms: number) => Promise<unknown>,
): Promise<void> {
  owner.vanish(random.chance(0.5) ? "cut" : "silence");
  await wait(ms);
  await owner.comeBack();
}
