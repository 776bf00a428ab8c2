import type { ClientCore } from "../core.ts";
import { ClientError, type ClientErrorOptions } from "../errors.ts";
import { withTimeout } from "../requests/timeouts.ts";
import type { OutboxItem, OutboxStorage, StoredItems } from "./outbox-storage.ts";

/** The items that `persistItems` saves and restores. */
export interface RestorableItems {
  /** Returns all items, in the form in which they are saved. */
  list(): OutboxItem[];
  /** Adds a saved item. @throws when the item is invalid */
  restore(item: OutboxItem): void;
}

/**
 * Keeps items in a storage. Saves nothing until loading has succeeded: it would overwrite the saved items.
 */
export function persistItems(
  items: RestorableItems,
  storage: OutboxStorage,
  { settings: { clock, requestTimeoutMs: timeoutMs }, requests, reportError }: ClientCore,
): StoredItems {
  /** Saved items that are invalid: they stay in the storage. `undefined` until loading has succeeded. */
  let unreadable: OutboxItem[] | undefined;
  let loading: Promise<void> | undefined;
  let isSaving = false;
  let isChanged = false;

  const failed = (action: string, options: ClientErrorOptions) => {
    const error = new ClientError("STORAGE_FAILED", `${action} the outbox failed`, options);
    reportError(error);
    return error;
  };
  const read = async () => {
    if (unreadable) return;
    try {
      // Copies the list first, so that an error while reading it restores nothing.
      const saved = await withTimeout(clock, { timeoutMs }, async () =>
        (await storage.load())?.map((item) => item),
      );
      unreadable = [];
      for (const item of saved ?? []) {
        try {
          items.restore(item);
        } catch (cause) {
          unreadable.push(item);
          failed("Reading from", { cause, details: item });
        }
      }
    } catch (cause) {
      throw failed("Loading", { cause, retry: true });
    }
  };
  const load = () => {
    loading ??= read().finally(() => {
      loading = undefined;
      if (unreadable && isChanged) save();
    });
    return loading;
  };
  const save = () => {
    isChanged = true;
    if (isSaving || loading) return;
    if (unreadable) void saveAll(unreadable);
    else load().catch(() => {});
  };
  const saveAll = async (unread: readonly OutboxItem[]) => {
    isSaving = true;
    // Saves changes of the same turn together.
    await undefined;
    while (isChanged) {
      isChanged = false;
      try {
        await storage.save([...unread, ...items.list()]);
      } catch (cause) {
        failed("Saving", { cause });
      }
    }
    isSaving = false;
  };
  // Loads at once, then again with every change, and with backoff while connected: a disconnected client has no timers.
  const retrying = { signal: new AbortController().signal, whileIdle: true };
  load().catch(() => requests.retry(retrying, load).catch(() => {}));
  return {
    get loading() {
      return loading;
    },
    save,
  };
}
