import { checkChannel } from "../channels/channels.ts";
import { stopwatch } from "../clock.ts";
import type { ClientCore } from "../core.ts";
import type { ClientFeature } from "../feature.ts";
import { invalidOption } from "../options.ts";
import { KEY_LIFETIME_MS, toItem } from "./outbox.ts";
import type { OutboxItem, OutboxStorage } from "./outbox-storage.ts";
import { persistItems } from "./persist-items.ts";

/**
 * Keeps unacknowledged messages across restarts. Without it, a client keeps them in memory.
 * @param storage of this client alone
 * @throws {ClientError} INVALID_OPTION
 * @example
 * const client = createClient({ url, use: [outbox(storage)] });
 */
export function outbox(storage: OutboxStorage): ClientFeature {
  if (typeof storage?.load !== "function" || typeof storage.save !== "function") {
    throw invalidOption("outbox needs a storage with `load` and `save`");
  }
  return { install: (core) => installOutbox(core, storage) };
}

function installOutbox(core: ClientCore, storage: OutboxStorage): object {
  const { outbox, reportError } = core;
  const { clock } = core.settings;
  const items = {
    list() {
      const now = clock.now();
      return [...outbox.items].map(({ bytes: _, age, ...item }) => ({
        ...item,
        ...(age && { sentAt: now - age() }),
      }));
    },
    restore({ sentAt, ...saved }: OutboxItem) {
      const { channel, key } = saved;
      checkChannel(channel);
      if (!key || typeof key !== "string") throw new TypeError("key");
      const item = toItem(saved);
      const age = clock.now() - sentAt!;
      // A time in the future means that the clock was corrected, so the age is unknown.
      if (sentAt !== undefined) item.age = stopwatch(clock, age >= 0 ? age : KEY_LIFETIME_MS + 1);
      // No caller waits for a restored message, so `onError` gets its error.
      outbox.deliver(item, true, {}).catch(reportError);
    },
  };
  outbox.stored = persistItems(items, storage, core);
  return {};
}
