import { CLIENT_LIMITS } from "../protocol/index.ts";
import { delayOf } from "./backoff.ts";
import type { Channel } from "./channel.ts";
import type { ClientError } from "./errors.ts";
import type { Settings } from "./options.ts";
import { same } from "./sequence.ts";
import type { Session } from "./session.ts";
import { pause } from "./waiting.ts";

/** How often the server is asked for what it says that there is and does not give. */
const FRUITLESS = 3;

export interface RepairEvents {
  session(): Session | undefined;
  refused(channel: Channel, error: ClientError): void;
}

/** Fetches what a channel is missing, page by page, until it is at the head. */
export class Repair {
  readonly #settings: Settings;
  readonly #events: RepairEvents;

  constructor(settings: Settings, events: RepairEvents) {
    this.#settings = settings;
    this.#events = events;
  }

  /** @param waitMs what is missing may come by itself meanwhile */
  start(channel: Channel, waitMs: number): void {
    if (channel.repairing) return;
    channel.repairing = true;
    void this.#run(channel, waitMs).finally(() => {
      channel.repairing = false;
    });
  }

  async #run(channel: Channel, waitMs: number): Promise<void> {
    let wait = waitMs;
    let failures = 0;
    // Without a session there is nobody to ask: the next one begins with a subscription, which tells what is missing.
    for (let session = this.#events.session(); session !== undefined; session = this.#events.session()) {
      try {
        if (wait > 0) await pause(this.#settings.clock, wait, session.signal);
        if (!channel.sequence.behind || channel.subscriptions.size === 0) return channel.settled();
        const before = channel.sequence.position;
        await this.#page(channel, session);
        failures = same(before, channel.sequence.position) ? failures + 1 : 0;
        if (failures === FRUITLESS) channel.sequence.giveUp();
      } catch (thrown) {
        channel.sequence.doubt();
        const error = thrown as ClientError;
        if (!error.retry) return this.#events.refused(channel, error);
        failures = session.ended ? 0 : failures + 1;
      }
      wait = failures === 0 ? 0 : delayOf(this.#settings, failures);
    }
  }

  async #page(channel: Channel, session: Session): Promise<void> {
    const after = channel.sequence.asking();
    if (after === undefined) return;
    const payload = { channel: channel.name, after, limit: CLIENT_LIMITS.messages };
    channel.sequence.read(after, await session.request("history", payload));
  }
}
