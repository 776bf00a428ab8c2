import type { Json } from "../../protocol/index.ts";
import { ClientError, type ClientErrorOptions } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import { withTimeout } from "../requests/timeouts.ts";

/** A publication that has no answer yet. */
export interface OutboxItem {
  readonly channel: string;
  readonly data: Json;
  readonly key: string;
  readonly others?: boolean;
  /** When it was first sent without an answer, in ms since the epoch. */
  readonly sentAt?: number;
}

/** Stores the outbox: in localStorage, IndexedDB or a file. Each client needs a storage of its own. */
export interface OutboxStorage {
  /**
   * The items that were saved last; an empty list, or nothing, if none were. When it throws, or takes longer than
   * `requestTimeoutMs`, it is called again, and `save` is not called until it succeeds.
   */
  load(): readonly OutboxItem[] | Promise<readonly OutboxItem[]>;
  /** All items, after every change, with those that the client could not read; never while another `save` is under way. */
  save(items: readonly OutboxItem[]): void | Promise<void>;
}

export interface RestorableItems {
  /** All, as they are saved. */
  list(): OutboxItem[];
  /** Takes one that was saved. @throws when it can't be sent */
  restore(item: OutboxItem): void;
}

export interface StoredItems {
  /** While the saved items are being read. It may reject. */
  readonly loading: Promise<void> | undefined;
  /** The items have changed. */
  save(): void;
}

/**
 * Keeps items in a storage. It saves nothing until it could load, or the saved items would be lost.
 * @param tellError told of each failure
 */
export function persistItems(
  items: RestorableItems,
  storage: OutboxStorage,
  { clock, requestTimeoutMs: timeoutMs }: ResolvedOptions,
  requests: RequestQueue,
  tellError: (error: ClientError) => void,
): StoredItems {
  /** Saved items that can't be sent: they stay in the storage. `undefined`: it could not be loaded yet. */
  let unreadable: OutboxItem[] | undefined;
  let loading: Promise<void> | undefined;
  let isSaving = false;
  let isChanged = false;

  const failed = (what: string, options: ClientErrorOptions) => {
    const error = new ClientError("STORAGE_FAILED", `${what} the outbox failed`, options);
    tellError(error);
    return error;
  };
  const read = async () => {
    if (unreadable) return;
    try {
      // A copy: nothing is taken from a list that can't be read to its end.
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
  const saveAll = async (kept: readonly OutboxItem[]) => {
    isSaving = true;
    // Changes that come at the same time are saved together.
    await undefined;
    while (isChanged) {
      isChanged = false;
      try {
        await storage.save([...kept, ...items.list()]);
      } catch (cause) {
        failed("Saving", { cause });
      }
    }
    isSaving = false;
  };
  // The first time at once; then with every change, and with backoff while there is a connection: without one the client
  // has no timers.
  const retrying = { signal: new AbortController().signal, waitWhileIdle: true };
  load().catch(() => requests.retry(retrying, load).catch(() => {}));
  return {
    get loading() {
      return loading;
    },
    save,
  };
}
