import type { ResolvedOptions } from "../options.ts";

/**
 * How long to wait before trying again, in ms: anything between nothing and the most ("full jitter"), so that a thousand
 * clients that were cut off together do not come back together.
 * @param failures how often it has failed, 1 or more
 */
export function backoffDelay(
  { reconnectBaseMs, reconnectMaxMs, random }: ResolvedOptions,
  failures: number,
): number {
  return random() * Math.min(reconnectMaxMs, reconnectBaseMs * 2 ** (failures - 1));
}
