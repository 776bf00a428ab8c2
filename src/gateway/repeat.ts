import type { Clock, Timer } from "./clock.ts";

/**
 * Calls `task` every `ms`, counted from the end of the one before, so that no two run at once. It must not reject.
 */
export function repeat(clock: Clock, ms: number, task: () => Promise<void>): Timer {
  let cancelled = false;
  let timer: Timer | undefined;
  const wait = () => {
    if (!cancelled) timer = clock.setTimeout(() => void task().then(wait), ms);
  };
  wait();
  return {
    cancel() {
      cancelled = true;
      timer?.cancel();
    },
  };
}
