import { monotonicNow } from "../clock.ts";
import { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { withTimeout } from "../requests/timeouts.ts";
import { tokenLifetime } from "./token.ts";

/** By what the client shows who it is. */
export class Credentials {
  readonly #settings: ResolvedOptions;
  /** When the last token expires, by the monotonic clock. */
  expiresAt = Number.NaN;

  constructor(settings: ResolvedOptions) {
    this.#settings = settings;
  }

  /** Where to connect, with what it takes now. @throws {ClientError} TOKEN_FAILED */
  async url(signal: AbortSignal): Promise<string> {
    const { url, getTicket } = this.#settings;
    const address = new URL(url);
    const value = await (getTicket ? this.#ask(getTicket, signal) : this.token(signal));
    if (value !== undefined) address.searchParams.set(getTicket ? "ticket" : "token", value);
    return address.href;
  }

  /** @throws {ClientError} TOKEN_FAILED */
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
