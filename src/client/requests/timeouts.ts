import type { Clock } from "../clock.ts";
import { ClientError } from "../errors.ts";

/** The longest that timers take: 2^31 - 1 ms, some 24 days. Past it they would ring at once. */
export const MAX_TIMER_MS = 2_147_483_647;

/**
 * A promise that also ends with a signal, by its reason.
 * @param begin may answer what undoes it, run however it ends
 */
export async function abortable<T>(
  signal: AbortSignal | undefined,
  begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => (() => void) | undefined,
): Promise<T> {
  signal?.throwIfAborted();
  let undo: (() => void) | undefined;
  let abort!: () => void;
  try {
    return await new Promise<T>((resolve, reject) => {
      abort = () => reject(signal?.reason);
      signal?.addEventListener("abort", abort);
      undo = begin(resolve, reject);
    });
  } finally {
    signal?.removeEventListener("abort", abort);
    undo?.();
  }
}

/** Waits `ms`. */
export function delay(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return abortable<void>(signal, (resolve) => {
    const timer = clock.setTimeout(resolve, ms);
    return () => timer.cancel();
  });
}

/** Limits how long a request waits for its response. */
export interface RequestOptions {
  /** Rejects with ABORTED when it is aborted. Default: none. */
  readonly signal?: AbortSignal | undefined;
  /** Rejects with TIMEOUT after this many ms. Default: the client's `requestTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
}

/** Ends by a time or with a signal, whatever `run` does; hands it the one signal that says so. */
export async function withTimeout<T>(
  clock: Clock,
  { signal, timeoutMs }: RequestOptions,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ending = new AbortController();
  const abort = () => ending.abort(new ClientError("ABORTED", "Aborted", { cause: signal?.reason }));
  const timer =
    timeoutMs === undefined || timeoutMs > MAX_TIMER_MS
      ? undefined
      : clock.setTimeout(() => ending.abort(timeoutError(timeoutMs)), timeoutMs);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  try {
    return await abortable(ending.signal, (resolve, reject) => void run(ending.signal).then(resolve, reject));
  } finally {
    timer?.cancel();
    signal?.removeEventListener("abort", abort);
  }
}

export function timeoutError(ms: number): ClientError {
  const message = `No answer in ${ms} ms`;
  return new ClientError("TIMEOUT", message, { retry: true });
}
