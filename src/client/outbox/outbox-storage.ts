import type { Json } from "../../protocol/index.ts";

/** A message that has not been acknowledged yet. */
export interface OutboxItem {
  /** The channel of the publication. */
  readonly channel: string;
  /** The data of the publication. */
  readonly data: Json;
  /** Identifies the message, so that the server stores it once. */
  readonly key: string;
  /** Whether to skip this connection. Default: false. */
  readonly others?: boolean;
  /** When it was first sent without a response, in ms since the epoch. */
  readonly sentAt?: number;
}

/** Stores the outbox, for example in localStorage, IndexedDB or a file. Each client needs its own storage. */
export interface OutboxStorage {
  /**
   * Returns the items saved last, or an empty list. If it throws, or takes longer than `requestTimeoutMs`, the client
   * calls it again, and does not call `save` until it succeeds.
   */
  load(): readonly OutboxItem[] | Promise<readonly OutboxItem[]>;
  /**
   * Saves all items, after every change. The list includes items that the client could not read. The client waits for
   * one `save` before it calls the next.
   */
  save(items: readonly OutboxItem[]): void | Promise<void>;
}
