import { monotonicNow } from "../clock.ts";
import { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { withTimeout } from "../requests/timeouts.ts";

/** Gets the token or ticket of each connection. */
export class Credentials {
  readonly #settings: ResolvedOptions;
  /** When the last token expires, on the monotonic clock. NaN: never. */
  expiresAt = Number.NaN;

  constructor(settings: ResolvedOptions) {
    this.#settings = settings;
  }

  /** Returns the URL to connect to, with a fresh token or ticket. @throws {ClientError} TOKEN_FAILED */
  async url(signal: AbortSignal): Promise<string> {
    const { url, getTicket } = this.#settings;
    const address = new URL(url);
    const value = await (getTicket ? this.#ask(getTicket, signal) : this.token(signal));
    if (value !== undefined) address.searchParams.set(getTicket ? "ticket" : "token", value);
    return address.href;
  }

  /** Gets a token, and notes when it expires. @throws {ClientError} TOKEN_FAILED */
  async token(signal: AbortSignal): Promise<string | undefined> {
    const { clock, token, getToken = () => token } = this.#settings;
    const value = await this.#ask(getToken, signal);
    this.expiresAt = monotonicNow(clock) + tokenLifetime(value, clock.now());
    return value;
  }

  async #ask<T>(get: () => T | Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock, connectTimeoutMs } = this.#settings;
    try {
      return await withTimeout(clock, { timeoutMs: connectTimeoutMs, signal }, async () => get());
    } catch (cause) {
      throw new ClientError("TOKEN_FAILED", "getToken or getTicket failed", { retry: true, cause });
    }
  }
}

/**
 * Returns a JWT's remaining lifetime, in ms; NaN for a token without `exp`. Verifies nothing.
 * @param now ms since the epoch, by a clock that may be wrong: if `now` is outside the token's own times, the token counts
 * as new
 */
export function tokenLifetime(token = "", now: number): number {
  try {
    const payload = token.split(".")[1] ?? "";
    const { exp, iat } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    const [remaining, total] = [exp * 1_000 - now, (exp - iat) * 1_000];
    return total > 0 && !(remaining > 0 && remaining < total) ? total : remaining;
  } catch {
    return Number.NaN;
  }
}
