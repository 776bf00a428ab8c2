import type { Json } from "../../protocol/index.ts";

/** A message that has not been acknowledged yet. */
export interface OutboxItem {
  /** The channel of the publication. */
  readonly channel: string;
  /** The data of the publication. */
  readonly data: Json;
  /** Identifies the message, so that the server stores it once. */
  readonly key: string;
  /** Whether the publishing connection does not receive the message. Default: false. */
  readonly others?: boolean;
  /** Time of the first attempt whose outcome is unknown, in ms since the epoch. Absent: there was no such attempt. */
  readonly sentAt?: number;
}

/** Stores the outbox, for example in localStorage, IndexedDB or a file. Each client needs its own storage. */
export interface OutboxStorage {
  /**
   * Returns the list that was passed to the last `save`, or an empty list. If `load` throws or takes longer than
   * `requestTimeoutMs`, the client calls it again. The client does not call `save` before a `load` has succeeded.
   */
  load(): readonly OutboxItem[] | Promise<readonly OutboxItem[]>;
  /**
   * Replaces the saved list. The client calls it after changes; changes of the same turn of the event loop share a call.
   * The list includes items that the client could not read. The client waits for one `save` before it calls the next.
   */
  save(items: readonly OutboxItem[]): void | Promise<void>;
}

/** The saved items of an outbox. */
export interface StoredItems {
  /** Set while the saved items load. May reject. */
  readonly loading: Promise<void> | undefined;
  /** Saves the items, after a change. */
  save(): void;
}
