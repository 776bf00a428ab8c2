import { CLIENT_LIMITS } from "../../protocol/index.ts";
import { delayOf } from "../connection/backoff.ts";
import type { Session } from "../connection/session.ts";
import type { ClientError } from "../errors.ts";
import type { Settings } from "../options.ts";
import { pause } from "../requests/timeouts.ts";
import type { Channel } from "./channel.ts";
import { same } from "./message-order.ts";

/** How often the server is asked for what it says that there is and does not give. */
const FRUITLESS = 3;

export interface RepairEvents {
  session(): Session | undefined;
  refused(channel: Channel, error: ClientError): void;
}

/**
 * Fetches what a channel is missing, page by page, until it is at the head.
 * @param waitMs what is missing may come by itself meanwhile
 */
export async function repair(
  channel: Channel,
  waitMs: number,
  settings: Settings,
  events: RepairEvents,
): Promise<void> {
  if (channel.repairing) return;
  channel.repairing = true;
  const { sequence } = channel;
  let wait = waitMs;
  let failures = 0;
  // Without a session there is nobody to ask: the next one begins with a subscription, which tells what is missing.
  for (let session = events.session(); session; session = events.session()) {
    try {
      if (wait > 0) await pause(settings.clock, wait, session.signal);
      if (!sequence.behind || channel.subscriptions.size === 0) {
        channel.settled();
        break;
      }
      const before = sequence.position;
      await fetchPage(channel, session);
      failures = same(before, sequence.position) ? failures + 1 : 0;
      if (failures === FRUITLESS) sequence.giveUp();
    } catch (thrown) {
      sequence.doubt();
      const error = thrown as ClientError;
      if (!error.retry) {
        events.refused(channel, error);
        break;
      }
      failures = session.ended ? 0 : failures + 1;
    }
    wait = failures === 0 ? 0 : delayOf(settings, failures);
  }
  channel.repairing = false;
}

async function fetchPage({ name, sequence }: Channel, session: Session): Promise<void> {
  const after = sequence.asking();
  if (!after) return;
  const payload = { channel: name, after, limit: CLIENT_LIMITS.messages };
  sequence.read(after, await session.request("history", payload));
}
