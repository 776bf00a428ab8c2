/**
 * How long a JWT still lives, in ms; NaN: it does not say, or is none. Nothing is verified.
 * @param now ms since the epoch, by a clock that may be wrong: where the token's own times rule it out, the token counts
 * as new
 */
export function tokenLifetime(token = "", now: number): number {
  try {
    const payload = token.split(".")[1] ?? "";
    const { exp, iat } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    const [left, whole] = [exp * 1_000 - now, (exp - iat) * 1_000];
    return whole > 0 && !(left > 0 && left < whole) ? whole : left;
  } catch {
    return Number.NaN;
  }
}
