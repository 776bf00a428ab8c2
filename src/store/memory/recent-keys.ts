import { IDEMPOTENCY_WINDOW_MS, MAX_KEY_AHEAD_MS, type StoredMessage } from "../contracts/channel-history.ts";

/** Which keys were used of late, and for what. Without the data: of many keys that would be a history of its own. */
export class RecentKeys {
  /** In the order in which they came, so that the first are over first. */
  readonly #messages = new Map<string, StoredMessage>();

  find(channel: string, key: string, now: number): StoredMessage | undefined {
    const message = this.#messages.get(nameOf(channel, key));
    return message !== undefined && isRecent(message, now) ? message : undefined;
  }

  add(channel: string, key: string, message: StoredMessage): void {
    const name = nameOf(channel, key);
    this.#messages.delete(name);
    this.#messages.set(name, Object.freeze({ ...message, data: null }));
  }

  sweep(now: number): void {
    for (const [name, message] of this.#messages) {
      if (isRecent(message, now)) break;
      this.#messages.delete(name);
    }
  }
}

function isRecent({ at }: StoredMessage, now: number): boolean {
  return now - at < IDEMPOTENCY_WINDOW_MS && at - now < MAX_KEY_AHEAD_MS;
}

/** No two pairs share it. */
function nameOf(channel: string, key: string): string {
  return JSON.stringify([channel, key]);
}
