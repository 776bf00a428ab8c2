import { CLIENT_LIMITS } from "../../protocol/index.ts";
import { backoffDelay } from "../connection/backoff.ts";
import type { Session } from "../connection/session.ts";
import type { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { delay } from "../requests/timeouts.ts";
import type { Channel } from "./channel.ts";
import { isSamePosition } from "./message-order.ts";

/** How often the server is asked for what it says that there is and does not give. */
const FRUITLESS = 3;

export interface GapRepairEvents {
  session(): Session | undefined;
  refused(channel: Channel, error: ClientError): void;
}

/**
 * Fetches what a channel is missing, page by page, until it is at the head.
 * @param waitMs what is missing may come by itself meanwhile
 */
export async function repairGap(
  channel: Channel,
  waitMs: number,
  settings: ResolvedOptions,
  events: GapRepairEvents,
): Promise<void> {
  if (channel.isRepairing) return;
  channel.isRepairing = true;
  const { order } = channel;
  let wait = waitMs;
  let failures = 0;
  // Without a session there is nobody to ask: the next one begins with a subscription, which tells what is missing.
  for (let session = events.session(); session; session = events.session()) {
    try {
      if (wait > 0) await delay(settings.clock, wait, session.signal);
      if (!order.hasGap || channel.subscriptions.size === 0) {
        channel.reportRecovered();
        break;
      }
      const before = order.position;
      await fetchPage(channel, session);
      failures = isSamePosition(before, order.position) ? failures + 1 : 0;
      if (failures === FRUITLESS) order.abandonGap();
    } catch (thrown) {
      order.markStale();
      const error = thrown as ClientError;
      if (!error.retry) {
        events.refused(channel, error);
        break;
      }
      failures = session.ended ? 0 : failures + 1;
    }
    wait = failures === 0 ? 0 : backoffDelay(settings, failures);
  }
  channel.isRepairing = false;
}

async function fetchPage({ name, order }: Channel, session: Session): Promise<void> {
  const after = order.startFetch();
  if (!after) return;
  const payload = { channel: name, after, limit: CLIENT_LIMITS.messages };
  order.applyPage(after, await session.request("history", payload));
}
