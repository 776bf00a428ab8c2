import { MAX_MESSAGES } from "../../protocol/index.ts";
import { backoffDelay } from "../connection/backoff.ts";
import type { ConnectionManager } from "../connection/connection-manager.ts";
import type { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { delay } from "../requests/timeouts.ts";
import type { Channel } from "./channel.ts";
import { isSamePosition } from "./message-order.ts";

/** Gives up after this many pages in a row that bring nothing, though the server reports newer messages. */
const MAX_EMPTY_PAGES = 3;

/** The messages of a channel in order, for one reader or all. */
export interface Repairable extends Pick<Channel, "name" | "order" | "isRead" | "repairing"> {
  /** Called once no message is missing. */
  settle(): void;
}

/**
 * Fetches a channel's missing messages from history, page by page, up to its last message.
 * @param wait the delay in ms before the first page, in which missing messages may still arrive
 * @param onRefused called when the server refuses the channel
 */
export async function repairGap(
  channel: Repairable,
  wait: number,
  settings: ResolvedOptions,
  link: ConnectionManager,
  onRefused: (error: ClientError) => void,
): Promise<void> {
  if (channel.repairing) return;
  channel.repairing = true;
  const { order } = channel;
  let failures = 0;
  // Stops without a session: the next one subscribes first, which shows what is missing.
  for (let session = link.session; session; session = link.session) {
    try {
      if (wait > 0) await delay(settings.clock, wait, session.signal);
      if (!order.hasGap || !channel.isRead) {
        channel.settle();
        break;
      }
      // A channel with a gap has a position.
      const after = order.startFetch()!;
      const payload = { channel: channel.name, after, limit: MAX_MESSAGES };
      order.apply(after, await session.request("history", payload));
      failures = isSamePosition(after, order.position) ? failures + 1 : 0;
      if (failures === MAX_EMPTY_PAGES) order.skipGap();
    } catch (error) {
      order.markStale();
      if (!(error as ClientError).retry) {
        onRefused(error as ClientError);
        break;
      }
      failures = session.ended ? 0 : failures + 1;
    }
    wait = failures && backoffDelay(settings, failures);
  }
  channel.repairing = false;
}
