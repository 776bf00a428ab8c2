import type { ResolvedOptions } from "../options.ts";

/**
 * Returns the delay before a retry, in ms. Full jitter, from 0 to the maximum: clients that lost their connections at the
 * same time do not reconnect at the same time.
 * @param failures the number of failures in a row, at least 1
 */
export function backoffDelay(
  { reconnectBaseMs, reconnectMaxMs, random }: ResolvedOptions,
  failures: number,
): number {
  return random() * Math.min(reconnectMaxMs, reconnectBaseMs * 2 ** (failures - 1));
}
