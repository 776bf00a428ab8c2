import { ClientError } from "./errors.ts";
import type { Settings } from "./options.ts";
import { expiryOf } from "./token.ts";
import { within } from "./waiting.ts";

/** By what the client shows who it is. */
export class Credentials {
  readonly #settings: Settings;
  /** When the token that was given last expires, in ms since the epoch. */
  expiresAt: number | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Another token may be had than the last one. */
  get renewable(): boolean {
    return this.#settings.getToken !== undefined || this.#settings.getTicket !== undefined;
  }

  get refreshable(): boolean {
    return this.#settings.getToken !== undefined;
  }

  /** Where to connect, with what it takes now. @throws {ClientError} TOKEN_FAILED */
  async url(signal: AbortSignal): Promise<string> {
    const { url, getTicket } = this.#settings;
    const address = new URL(url);
    const name = getTicket === undefined ? "token" : "ticket";
    const value = await this.#ask(getTicket ?? this.#token, signal);
    if (value !== undefined) address.searchParams.set(name, value);
    return address.href;
  }

  /** @throws {ClientError} TOKEN_FAILED */
  async token(signal: AbortSignal): Promise<string | undefined> {
    return this.#ask(this.#token, signal);
  }

  readonly #token = async () => {
    const { token, getToken } = this.#settings;
    const value = getToken === undefined ? token : await getToken();
    this.expiresAt = typeof value === "string" ? expiryOf(value) : undefined;
    return value;
  };

  async #ask(
    get: () => string | undefined | Promise<string | undefined>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { clock, connectTimeoutMs } = this.#settings;
    try {
      return await within(clock, { timeoutMs: connectTimeoutMs, signal }, async () => get());
    } catch (cause) {
      const message = "The application's getToken or getTicket has failed";
      throw new ClientError("TOKEN_FAILED", message, { retry: true, cause });
    }
  }
}
