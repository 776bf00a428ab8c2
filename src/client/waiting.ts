import type { Clock } from "./clock.ts";
import { ClientError } from "./errors.ts";

/** The longest that timers take: 2^31 - 1 ms, some 24 days. Past it they would ring at once. */
export const MAX_TIMER_MS = 2_147_483_647;

/**
 * A promise that also ends with a signal, by its reason.
 * @param begin answers what undoes it, run however it ends
 */
export function until<T>(
  signal: AbortSignal | undefined,
  begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    let undo: (() => void) | undefined;
    let ended = false;
    const end = (settle: () => void) => {
      if (ended) return;
      ended = true;
      signal?.removeEventListener("abort", abort);
      undo?.();
      settle();
    };
    const abort = () => end(() => reject(signal?.reason));
    signal?.addEventListener("abort", abort);
    undo = begin(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    );
    if (ended) undo();
  });
}

/** Waits `ms`. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return until<void>(signal, (resolve) => {
    const timer = clock.setTimeout(resolve, ms);
    return () => timer.cancel();
  });
}

export interface Patience {
  /** Gives up when it is aborted: ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Gives up after so many ms: TIMEOUT. */
  readonly timeoutMs?: number | undefined;
}

/** Runs what is to end by a time or with a signal, and hands it the one signal that says so. */
export async function within<T>(
  clock: Clock,
  { signal, timeoutMs }: Patience,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = () =>
    controller.abort(new ClientError("ABORTED", "It was given up", { cause: signal?.reason }));
  const timer =
    timeoutMs === undefined || timeoutMs > MAX_TIMER_MS
      ? undefined
      : clock.setTimeout(() => controller.abort(timeout(timeoutMs)), timeoutMs);
  if (signal?.aborted) abort();
  else signal?.addEventListener("abort", abort);
  try {
    return await run(controller.signal);
  } finally {
    timer?.cancel();
    signal?.removeEventListener("abort", abort);
  }
}

export function timeout(ms: number): ClientError {
  return new ClientError("TIMEOUT", `No answer in ${ms} ms: what was asked may have happened`, {
    retry: true,
  });
}
