import { MAX_MESSAGES } from "../../protocol/index.ts";
import { backoffDelay } from "../connection/backoff.ts";
import type { Session } from "../connection/session.ts";
import type { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { delay } from "../requests/timeouts.ts";
import type { Channel } from "./channel.ts";
import { isSamePosition } from "./message-order.ts";

/** Gives up after this many pages in a row that bring nothing, though the server reports newer messages. */
const MAX_EMPTY_PAGES = 3;

/** The messages of a channel in order, for one reader or all. */
export interface Repairable extends Pick<Channel, "name" | "order" | "repairing"> {
  /** The readers. */
  readonly subscriptions: { readonly size: number };
  /** Called once no message is missing. */
  settle(): void;
}

export interface GapRepairEvents<Repaired extends Repairable> {
  session(): Session | undefined;
  refused(channel: Repaired, error: ClientError): void;
}

/**
 * Fetches a channel's missing messages from history, page by page, up to its last message.
 * @param waitMs the delay before the first page, in which missing messages may still arrive
 */
export async function repairGap<Repaired extends Repairable>(
  channel: Repaired,
  waitMs: number,
  settings: ResolvedOptions,
  events: GapRepairEvents<Repaired>,
): Promise<void> {
  if (channel.repairing) return;
  channel.repairing = true;
  const { order } = channel;
  let wait = waitMs;
  let failures = 0;
  // Stops without a session: the next one subscribes first, which shows what is missing.
  for (let session = events.session(); session; session = events.session()) {
    try {
      if (wait > 0) await delay(settings.clock, wait, session.signal);
      if (!order.hasGap || channel.subscriptions.size === 0) {
        channel.settle();
        break;
      }
      const before = order.position;
      await fetchPage(channel, session);
      failures = isSamePosition(before, order.position) ? failures + 1 : 0;
      if (failures === MAX_EMPTY_PAGES) order.skipGap();
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
  channel.repairing = false;
}

async function fetchPage({ name, order }: Repairable, session: Session): Promise<void> {
  const after = order.startFetch();
  if (!after) return;
  const payload = { channel: name, after, limit: MAX_MESSAGES };
  order.apply(after, await session.request("history", payload));
}
