import type { Clock } from "../clock.ts";
import { ClientError } from "../errors.ts";

/** The longest delay of a timer: 2^31 - 1 ms, about 24 days. A longer one fires at once. */
export const MAX_TIMER_MS = 2_147_483_647;

/**
 * Creates a promise that rejects with the signal's reason when the signal is aborted.
 * @param start may return a cleanup function, called when the promise settles
 */
export async function abortable<T>(
  signal: AbortSignal,
  start: (resolve: (value: T) => void, reject: (error: unknown) => void) => (() => void) | undefined,
): Promise<T> {
  signal.throwIfAborted();
  let cleanup: (() => void) | undefined;
  let abort!: () => void;
  try {
    return await new Promise<T>((resolve, reject) => {
      abort = () => reject(signal.reason);
      signal.addEventListener("abort", abort);
      cleanup = start(resolve, reject);
    });
  } finally {
    signal.removeEventListener("abort", abort);
    cleanup?.();
  }
}

/** Calls `listener` when the application's signal aborts, now or before `end`. */
export function onAbort(
  signal: AbortSignal | undefined,
  end: AbortSignal,
  listener: (error: ClientError) => void,
): void {
  const abort = () => listener(new ClientError("ABORTED", "Aborted", { cause: signal?.reason }));
  if (signal?.aborted) abort();
  else signal?.addEventListener("abort", abort, { signal: end });
}

/** Resolves after `ms`. */
export function delay(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
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

/** Runs `run` with one signal for the timeout and the caller's signal. @throws {ClientError} TIMEOUT, ABORTED */
export function withTimeout<T>(
  clock: Clock,
  { signal, timeoutMs }: RequestOptions,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const ended = new AbortController();
  const expire = () =>
    controller.abort(new ClientError("TIMEOUT", `No answer in ${timeoutMs} ms`, { retry: true }));
  onAbort(signal, ended.signal, (error) => controller.abort(error));
  return abortable(controller.signal, (resolve, reject) => {
    const timer =
      timeoutMs === undefined || timeoutMs > MAX_TIMER_MS ? undefined : clock.setTimeout(expire, timeoutMs);
    run(controller.signal).then(resolve, reject);
    return () => {
      timer?.cancel();
      ended.abort();
    };
  });
}
