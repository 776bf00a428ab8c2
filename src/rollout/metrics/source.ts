import { RolloutError } from "../errors.ts";
import type { Side } from "../flags/steps.ts";
import { findWindowFault, type ObservedWindow, type SideCounts } from "../stages/windows.ts";

/** A place that has the metrics of both sides. */
export interface MetricSource {
  /**
   * Reads the counts of both sides between two times.
   * @param from ms since the epoch
   * @param to ms since the epoch, excluded
   * @throws {RolloutError} METRICS_UNAVAILABLE, INVALID_METRICS
   */
  read(from: number, to: number, signal: AbortSignal): Promise<ObservedWindow> | ObservedWindow;
}

/** @throws {RolloutError} INVALID_METRICS */
export function invalidMetrics(fault: string): RolloutError {
  return new RolloutError("INVALID_METRICS", `The window was not used: ${fault}`);
}

/**
 * Returns the window of both sides' counts.
 * @throws {RolloutError} INVALID_METRICS when there are no events, or impossible numbers
 */
export function toWindow(
  from: number,
  to: number,
  sides: { readonly [side in Side]: SideCounts },
): ObservedWindow {
  const window = { from, to, old: sides.old, new: sides.new };
  const fault = findWindowFault(window);
  if (fault !== undefined) throw invalidMetrics(`the source of metrics answered nonsense: ${fault}`);
  if ([sides.old, sides.new].every(({ events, connects }) => events + connects === 0)) {
    throw invalidMetrics(
      `the source of metrics has no events of either side from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`,
    );
  }
  return window;
}

/**
 * Calls a service.
 * @throws {RolloutError} METRICS_UNAVAILABLE, with the cause
 */
export async function askSource<Answer>(name: string, call: () => Promise<Answer>): Promise<Answer> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof RolloutError) throw cause;
    // The message of `fetch` is "fetch failed"; its cause says why.
    const error = cause instanceof TypeError ? (cause.cause ?? cause) : cause;
    const reason = error instanceof Error ? error.message || error.name : "unknown error";
    throw new RolloutError("METRICS_UNAVAILABLE", `${name} does not answer: ${reason}`, { cause });
  }
}
