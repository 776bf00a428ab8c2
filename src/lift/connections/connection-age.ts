/** Allowed difference between the clocks of two machines, in ms. */
const CLOCK_SKEW_MS = 5 * 60_000;

/** Grace period of a row after the connection's longest lifetime, in ms, for a late `$disconnect`. */
const ROW_GRACE_MS = 10 * 60 * 1000;

/** Longest time that `$connect` can take, in ms: the service waits 29 s for its integration. */
export const CONNECT_TIMEOUT_MS = 30_000;

/**
 * Returns whether the `$connect` of a connection may still be running. Until it has finished, posts answer `gone`. A date
 * too far in the future is not trusted, because the connection would count as connecting until then.
 * @param connectedAt ms since the epoch
 * @param now ms since the epoch
 * @param timeoutMs longest time that `$connect` can take, in ms
 */
export function mayBeConnecting(connectedAt: number, now: number, timeoutMs: number): boolean {
  const age = now - connectedAt;
  return age < timeoutMs && age > -CLOCK_SKEW_MS;
}

/** Returns the time by which the `$connect` of a connection has certainly finished, in ms since the epoch. */
export function connectDeadline(connectedAt: number, now: number): number {
  // A connect date in the future is not trusted.
  return Math.min(connectedAt, now) + CONNECT_TIMEOUT_MS;
}

/** Returns the time after which the row of a connection, and all other data about it, is useless; ms since the epoch. */
export function rowExpiry(connectedAt: number, lifetimeMs: number): number {
  return connectedAt + lifetimeMs + ROW_GRACE_MS;
}
