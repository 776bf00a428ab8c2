import type { Json, TimeBudget } from "./connections.ts";

/**
 * A place in a channel's history: how many messages the channel had taken, and in which of its lives. Offsets have no
 * gaps; a channel whose history was lost begins another epoch.
 */
export interface Position {
  readonly epoch: string;
  /** 0: nothing was ever published in the epoch. */
  readonly offset: number;
}

/**
 * What a channel keeps. Both bounds hold. What is kept has no gaps: a message that a slow clock made older than the
 * one before it stays as long as that one.
 */
export interface Retention {
  /** Messages; 0 or more. */
  readonly size: number;
  /**
   * ms. A date that is further ahead than this is not trusted: its message stays only as long as the one before it. So
   * a publisher whose clock is ahead keeps no message for longer than twice the age.
   */
  readonly ageMs: number;
}

/** A message on its way into a channel. */
export interface NewMessage {
  readonly id: string;
  readonly data: Json;
  /** Who published it; absent: the server, or somebody anonymous. */
  readonly userId?: string;
  /** When, in ms since the epoch. */
  readonly at: number;
  /** A publisher's word for one publication: a second one with the same key is the first. At most 512 bytes. */
  readonly key?: string;
}

export interface StoredMessage extends Omit<NewMessage, "key"> {
  readonly offset: number;
}

export interface AppendResult {
  readonly epoch: string;
  readonly message: StoredMessage;
  /** The key was known: nothing was stored now, `message` is the one from before. Its `data` may be gone (null). */
  readonly duplicate: boolean;
}

/** Part of a channel's history. */
export interface HistoryPage {
  /** The channel's last message, or one that came while this was read. No earlier than any of `messages`. */
  readonly head: Position;
  /** Ascending, without gaps. */
  readonly messages: readonly StoredMessage[];
  /** There is more in the direction in which was asked. */
  readonly more: boolean;
}

/** Which part. Without `after` and `before`: the newest. With both: the oldest of those between. */
export interface HistoryQuery {
  /** The oldest of those with a larger offset. */
  readonly after?: number;
  /** The newest of those with a smaller offset. */
  readonly before?: number;
  /** 1 to 1,000. */
  readonly limit: number;
  readonly retention: Retention;
  /** ms since the epoch. */
  readonly now: number;
}

/** Clocks differ, and a publication may be a minute under way after it was dated, in ms. */
const LEAST_AHEAD_MS = 60_000;

/**
 * How far ahead of the reader's clock a message may be dated, in ms. A date further ahead is not trusted: its message
 * stays only as long as the one before it.
 */
export function getMaxAheadMs(ageMs: number): number {
  return Math.max(ageMs, LEAST_AHEAD_MS);
}

/** How long a key keeps a second publication from being stored, in ms. */
export const IDEMPOTENCY_WINDOW_MS = 5 * 60_000;

/**
 * ms after which a store may forget a channel that has no members, no messages and no pending fan-outs: its keys are
 * over then, too.
 */
export function getIdleTimeoutMs({ ageMs }: Retention): number {
  return Math.max(ageMs, IDEMPOTENCY_WINDOW_MS);
}

/**
 * How far ahead, in ms, the date of a key may be. After a clock was set back by an hour its keys still count, or what is
 * sent again would be stored twice; those of a publisher a year ahead do not, or they would be taken for a year.
 */
export const MAX_KEY_AHEAD_MS = 24 * 60 * 60_000;

/** A stored message that has not reached everybody yet. */
export interface PendingFanOut {
  readonly channel: string;
  readonly epoch: string;
  readonly message: StoredMessage;
  /** Where its fan-out was last known to be: a cursor of `ChannelMembers.pages`. */
  readonly cursor?: string;
}

/**
 * What was published, channel by channel. A channel is named by any text of at most 1,024 bytes: whoever calls has put
 * its scope into it.
 *
 * - `append` is one step: the next offset, the message and the key, or nothing of them. Of many at once each gets an
 *   offset of its own, and no offset is left out.
 * - Offsets of an epoch go on however long a channel was silent. A store may forget a channel that was idle for `idleMsOf`
 *   its bounds; its next epoch is then one that the channel never had.
 * - Whoever reads `history` sees everything that was appended before it asked.
 * - A message past the bounds is not returned, removed or not.
 * - A stored message is `unfinished` until `finish`, also when the process that stored it dies, as far as what was
 *   stored outlives that.
 */
export interface ChannelHistory {
  /** @param bounds what is past them may be removed now */
  append(
    channel: string,
    message: NewMessage,
    retention: Retention,
    budget?: TimeBudget,
  ): Promise<AppendResult>;

  /**
   * Appends only while `after` is the channel's head. When many calls have the same head, exactly one appends; the others
   * store nothing and resolve to `undefined`.
   */
  appendAfter(
    channel: string,
    after: Position,
    message: Omit<NewMessage, "key">,
    retention: Retention,
    budget?: TimeBudget,
  ): Promise<AppendResult | undefined>;

  /** A channel that nobody has used yet gets its epoch by being read. */
  read(channel: string, query: HistoryQuery, budget?: TimeBudget): Promise<HistoryPage>;

  /** `history(…).head`, for less. */
  readHead(channel: string, budget?: TimeBudget): Promise<Position>;

  /** Everyone has been sent it, or is gone. */
  markDelivered(channel: string, offset: number, budget?: TimeBudget): Promise<void>;

  /** Keeps where a fan-out is, for whoever goes on with it. */
  checkpoint(channel: string, offset: number, cursor: string, budget?: TimeBudget): Promise<void>;

  /**
   * What was stored before `storedBefore` (ms since the epoch) and is not finished. Empty where another part of the
   * backend tells of it, as a table's stream does.
   */
  listPendingFanOuts(storedBefore: number): AsyncIterable<PendingFanOut>;
}

/** A history whose backend tells by itself what was stored: a table, in its stream. */
export interface TableStreamHistory extends ChannelHistory {
  /**
   * The message, if an item's new image in the stream tells that one was stored. Of what became of it since the image
   * knows nothing: `getPendingFanOut` does.
   * @throws {StoreError} BAD_ROW
   */
  parseTableStreamImage(image: object): PendingFanOut | undefined;

  /** `undefined`: everyone has been sent it, or it is there no more. */
  getPendingFanOut(channel: string, offset: number, budget?: TimeBudget): Promise<PendingFanOut | undefined>;
}

/** A connection that has subscribed to a channel. */
export interface Member {
  readonly connectionId: string;
  readonly userId?: string;
  /** The @connections endpoint it is reached by. */
  readonly endpoint: string;
  /** ms since the epoch. */
  readonly joinedAt: number;
  /** ms since the epoch: the connection can't be open any more. Past it the member is not read, removed or not. */
  readonly expiresAt: number;
}

/** A user who is in a channel, by one connection or several. */
export interface Presence {
  readonly userId: string;
  /** ms since the epoch: when the first of the connections joined. */
  readonly since: number;
  /** What the user shows of themself there. */
  readonly state?: Json;
}

export interface MemberPage {
  readonly members: readonly Member[];
  /** Hand it to `pages` to go on behind this page; absent: it was the last one. */
  readonly cursor?: string;
}

/**
 * Who is in which channel.
 *
 * - Every call may come twice; the second changes nothing.
 * - `pages` sees every member whose `add` has resolved before it was asked: a message that is stored after somebody
 *   has subscribed is sent to them.
 * - Of many at once one `add` tells that a user has come, and one `remove` that they have left: presence has one event
 *   for each, however many tabs.
 */
export interface ChannelMembers {
  /** Resolves to whether the user was not there before; always false for a member without a user. */
  add(channel: string, member: Member, budget?: TimeBudget): Promise<boolean>;

  /** Resolves to the user who has left with it: their last connection there. */
  remove(channel: string, connectionId: string, budget?: TimeBudget): Promise<Presence | undefined>;

  /** The channels of a connection. */
  listChannels(connectionId: string, budget?: TimeBudget): AsyncIterable<string>;

  /** Everyone, page by page. @param cursor of the page to go on behind */
  listMembers(channel: string, now: number, cursor?: string): AsyncIterable<MemberPage>;

  /** Connections. */
  count(channel: string, now: number): Promise<number>;

  /**
   * Users, each once, in an order of the store's own, which stays however they come and go.
   * @param after a user, there or not: those behind them
   */
  listPresence(channel: string, now: number, after?: string): AsyncIterable<Presence>;

  /** `false`: the user is not there, and nothing was written. */
  setState(channel: string, userId: string, state: Json | undefined, budget?: TimeBudget): Promise<boolean>;
}

/** How long a message may take to come in parts, in ms. */
export const CHUNKS_TIMEOUT_MS = 30_000;

/** A part of a message that a client could not send in one frame. */
export interface MessageChunk {
  /** The message's number: a larger one is a later one of the connection's. */
  readonly message: number;
  /** From 0. */
  readonly index: number;
  /** How many parts there are: 2 or more. */
  readonly count: number;
  readonly text: string;
}

/**
 * What has become of a part:
 * - `opened`: it is the first to come of its message, and others are missing;
 * - `kept`: others are missing, or it was there before;
 * - `closed`: its message was given up, a later one has taken its place, or its time is over;
 * - `{ whole }`: it was the last that was missing, and this is the message.
 */
export type ChunkResult = "opened" | "kept" | "closed" | { readonly whole: string };

/**
 * Where parts wait for each other: one message of a connection at a time, for `PARTS_MS` from its first part.
 *
 * - Of however many that come at once, exactly one resolves to the whole.
 * - A part that comes twice is there once, also while its message is whole already.
 * - What was not put together is dropped when it is given up, with the connection's next message, or with parts that come
 *   later, whoever's.
 */
export interface MessageChunks {
  /** @param now ms since the epoch */
  add(connectionId: string, part: MessageChunk, now: number, budget?: TimeBudget): Promise<ChunkResult>;

  /** Closes a message, if parts of it are missing. Resolves to whether they were. */
  abort(connectionId: string, message: number, budget?: TimeBudget): Promise<boolean>;
}

/** What Streamer keeps of its channels. */
export interface ChannelStore {
  readonly history: ChannelHistory;
  readonly members: ChannelMembers;
  readonly chunks: MessageChunks;
}
