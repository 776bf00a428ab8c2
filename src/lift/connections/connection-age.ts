/** Allowed difference between the clocks of two machines, in ms. */
const CLOCK_SKEW_MS = 5 * 60_000;

/**
 * Whether the `$connect` of a connection may still be under way: posts answer gone until it has ended. A date that is
 * too far ahead is not trusted, else the connection would count as connecting until that date.
 * @param forMs what `$connect` can take
 */
export function mayBeConnecting(connectedAt: number, now: number, forMs: number): boolean {
  const age = now - connectedAt;
  return age < forMs && age > -CLOCK_SKEW_MS;
}
