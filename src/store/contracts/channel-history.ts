import type { Json } from "./json.ts";
import type { TimeBudget } from "./time-budget.ts";

/** A position in a channel's history. Offsets have no gaps. A channel whose history was lost starts another epoch. */
export interface Position {
  /** The epoch of the channel's history. */
  readonly epoch: string;
  /** The number of messages so far; 0: none was published in this epoch. */
  readonly offset: number;
}

/**
 * The limits of a channel's history; both apply. Kept messages have no gaps: a message that a slow clock made older than
 * the one before it stays as long as that one.
 */
export interface Retention {
  /** Messages; 0 or more. */
  readonly size: number;
  /**
   * ms. A date that is further ahead than this is not trusted: its message stays only as long as the one before it. So a
   * publisher whose clock is ahead keeps no message for longer than twice this age.
   */
  readonly ageMs: number;
}

/** A message to append. */
export interface NewMessage {
  /** The id of the message. */
  readonly id: string;
  /** The data of the message. */
  readonly data: Json;
  /** The publisher. Absent: the server, or an anonymous user. */
  readonly userId?: string;
  /** ms since the epoch: time of the publication. */
  readonly at: number;
  /** Idempotency key, at most 512 bytes: a second publication with the same key is a duplicate. */
  readonly key?: string;
}

/** A message of a channel's history. */
export interface StoredMessage extends Omit<NewMessage, "key"> {
  /** The offset of the message, from 1, without gaps. */
  readonly offset: number;
}

/** The result of an append. */
export interface AppendResult {
  /** The epoch of the channel's history. */
  readonly epoch: string;
  /** The stored message; for a known key the first one. */
  readonly message: StoredMessage;
  /** The key was known. Nothing was stored, and `message` is the earlier one; its `data` may be lost (`null`). */
  readonly duplicate: boolean;
}

/** A page of a channel's history. */
export interface HistoryPage {
  /** The channel's last position, never earlier than any of `messages`. It may already count messages not yet read here. */
  readonly head: Position;
  /** Ascending, without gaps. */
  readonly messages: readonly StoredMessage[];
  /** There are more messages in the requested direction. */
  readonly more: boolean;
}

/** Selects messages. Without `after` and `before`: the newest. With both: the oldest between them. */
export interface HistoryQuery {
  /** Selects the oldest messages with a larger offset. */
  readonly after?: number;
  /** Selects the newest messages with a smaller offset. */
  readonly before?: number;
  /** Messages of the page; 1 to 1,000. */
  readonly limit: number;
  /** How many messages the channel keeps, and for how long. */
  readonly retention: Retention;
  /** ms since the epoch. */
  readonly now: number;
}

/** A stored message that has not been delivered to all members yet. */
export interface PendingFanOut {
  /** The key of the channel. */
  readonly channel: string;
  /** The epoch of the channel's history. */
  readonly epoch: string;
  /** The message whose fan-out is pending. */
  readonly message: StoredMessage;
  /** The last checkpoint of its fan-out: a cursor of `ChannelMembers.listMembers`. */
  readonly cursor?: string;
}

/**
 * Stores the messages of channels. A channel's name is any text of at most 1,024 bytes; the caller puts the tenant into
 * it. Every implementation guarantees:
 *
 * - `append` is atomic: it writes the next offset, the message and the key, or none of them. Concurrent appends get
 *   offsets of their own, without gaps.
 * - The offsets of an epoch continue however long a channel was silent. A store may forget a channel that was idle for
 *   `getIdleTimeoutMs(retention)`. Its next epoch then differs from all earlier ones.
 * - `read` sees every message that was appended before the call.
 * - A message past the retention is not returned, whether it was removed or not.
 * - A stored message is pending until `markDelivered`. It stays pending when the process that stored it dies, provided
 *   that the stored data outlives the process.
 */
export interface ChannelHistory {
  /** @param retention messages past it may be removed now */
  append(
    channel: string,
    message: NewMessage,
    retention: Retention,
    budget?: TimeBudget,
  ): Promise<AppendResult>;

  /**
   * Appends only if `after` is the channel's head. Exactly one of several concurrent calls with the same head
   * appends.
   * @returns `undefined` if the head is another one; then nothing is stored
   */
  appendAfter(
    channel: string,
    after: Position,
    message: Omit<NewMessage, "key">,
    retention: Retention,
    budget?: TimeBudget,
  ): Promise<AppendResult | undefined>;

  /** Reads a page of messages. Reading a channel that was never used gives it an epoch. */
  read(channel: string, query: HistoryQuery, budget?: TimeBudget): Promise<HistoryPage>;

  /** Reads the channel's last position only, which costs less than `read`. */
  readHead(channel: string, budget?: TimeBudget): Promise<Position>;

  /** Ends a fan-out: all members have received the message, or are disconnected. */
  markDelivered(channel: string, offset: number, budget?: TimeBudget): Promise<void>;

  /** Saves the progress of a fan-out, from which another process can resume it. */
  checkpoint(channel: string, offset: number, cursor: string, budget?: TimeBudget): Promise<void>;

  /**
   * Lists the pending fan-outs of messages stored before a time. Empty where the backend reports them in another way, as
   * a DynamoDB table's stream does.
   * @param storedBefore ms since the epoch
   */
  listPendingFanOuts(storedBefore: number): AsyncIterable<PendingFanOut>;
}

/** A history whose backend reports stored messages itself, in a table's stream. */
export interface TableStreamHistory extends ChannelHistory {
  /**
   * Returns the message if the new image of a stream record shows that one was stored. The image does not say whether it
   * was delivered meanwhile: use `getPendingFanOut` for that.
   * @throws {StoreError} BAD_ROW
   */
  parseTableStreamImage(image: object): PendingFanOut | undefined;

  /** @returns `undefined` when the message was delivered or removed */
  getPendingFanOut(channel: string, offset: number, budget?: TimeBudget): Promise<PendingFanOut | undefined>;
}

/** How long an idempotency key prevents a second publication, in ms. */
export const IDEMPOTENCY_WINDOW_MS = 5 * 60_000;

/**
 * How far ahead a key may be dated, in ms. After a clock was set back by an hour, its keys still count: otherwise retries
 * would be stored twice. Keys of a publisher whose clock is a year ahead do not count, or they would be blocked for a year.
 */
export const MAX_KEY_AHEAD_MS = 24 * 60 * 60_000;

/** Tolerance for clock differences and for a publication that is stored up to a minute after it was dated, in ms. */
const MIN_AHEAD_MS = 60_000;

/**
 * Returns how far ahead of the reader's clock a message may be dated, in ms. A date further ahead is not trusted: its
 * message stays only as long as the one before it. For implementations of `ChannelHistory`.
 * @param ageMs the retention's
 * @example
 * getMaxAheadMs(1_000); // 60_000
 */
export function getMaxAheadMs(ageMs: number): number {
  return Math.max(ageMs, MIN_AHEAD_MS);
}

/**
 * Returns the ms after which a store may forget a channel without members, messages and pending fan-outs. Its keys have
 * expired by then. For implementations of `ChannelHistory`.
 * @example
 * getIdleTimeoutMs({ size: 100, ageMs: 600_000 }); // 600_000
 */
export function getIdleTimeoutMs({ ageMs }: Retention): number {
  return Math.max(ageMs, IDEMPOTENCY_WINDOW_MS);
}
