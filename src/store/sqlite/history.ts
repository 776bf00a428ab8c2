import {
  type AppendResult,
  type ChannelHistory,
  getMaxAheadMs,
  type HistoryPage,
  type HistoryQuery,
  IDEMPOTENCY_WINDOW_MS,
  MAX_KEY_AHEAD_MS,
  type NewMessage,
  type PendingFanOut,
  type Position,
  type Retention,
  type StoredMessage,
} from "../contracts/channel-history.ts";
import { deriveEpoch, getEpochBucket } from "../contracts/epoch.ts";
import type { DatabaseFile } from "./database-file.ts";
import {
  badRowError,
  type ChannelRow,
  encodeBody,
  encodeText,
  parseChannelRow,
  parseMessage,
  parseText,
} from "./rows.ts";
import { prepareStatements, type Statements } from "./statements.ts";
import { Trimmer } from "./trimmer.ts";

const FAN_OUTS_PER_PAGE = 100;

/** History in a SQLite database. */
export class SqliteHistory implements ChannelHistory {
  readonly #file: DatabaseFile;
  readonly #now: () => number;
  readonly #statements: Statements;
  readonly #trimmer: Trimmer;
  readonly #storeId: string;

  /**
   * @param hasMembers a channel with members is never forgotten
   * @throws {StoreError} BAD_ROW
   */
  constructor(file: DatabaseFile, now: () => number, hasMembers: (channel: string) => boolean) {
    this.#file = file;
    this.#now = now;
    this.#statements = prepareStatements(file.database);
    this.#trimmer = new Trimmer({ statements: this.#statements, hasMembers, openedAt: now() });
    const { token } = this.#statements.storeId.get() ?? {};
    if (typeof token !== "string") throw badRowError(`${file.path}: the row of table life`);
    this.#storeId = token;
  }

  async append(channel: string, message: NewMessage, retention: Retention): Promise<AppendResult> {
    // Encoded now, before the caller can change the data; and data that is not JSON fails this call alone.
    const body = encodeBody(message);
    return this.#file.write(() => this.#append(channel, message, body, retention), { durable: true });
  }

  async appendAfter(
    channel: string,
    { epoch, offset }: Position,
    message: Omit<NewMessage, "key">,
    retention: Retention,
  ): Promise<AppendResult | undefined> {
    const body = encodeBody(message);
    const appendIfLast = () => {
      const head = this.#position(channel, this.#find(channel));
      const isLast = head.epoch === epoch && head.offset === offset;
      return isLast ? this.#append(channel, message, body, retention) : undefined;
    };
    return this.#file.write(appendIfLast, { durable: true });
  }

  async read(channel: string, query: HistoryQuery): Promise<HistoryPage> {
    return this.#file.read(() => {
      const row = this.#find(channel);
      const head = this.#position(channel, row);
      return row === undefined ? { head, messages: [], more: false } : this.#page(row, head, query);
    });
  }

  async readHead(channel: string): Promise<Position> {
    return this.#file.read(() => this.#position(channel, this.#find(channel)));
  }

  async markDelivered(channel: string, offset: number): Promise<void> {
    return this.#file.write(() => this.#markDelivered(channel, offset), { durable: false });
  }

  async checkpoint(channel: string, offset: number, cursor: string): Promise<void> {
    const write = () => {
      const row = this.#find(channel);
      if (row !== undefined) this.#statements.setCursor.run(row.id, offset, encodeText(cursor));
    };
    return this.#file.write(write, { durable: false });
  }

  async *listPendingFanOuts(storedBefore: number): AsyncGenerator<PendingFanOut> {
    for (let id = 0, offset = 0; ; ) {
      const rows = this.#file.read(() =>
        this.#statements.pendingFanOuts.all(id, offset, storedBefore, FAN_OUTS_PER_PAGE),
      );
      for (const row of rows) {
        const channel = parseText(row.name ?? undefined, `Channel ${row.id}`);
        const message = parseMessage(row, channel);
        const subject = `The cursor of message ${message.offset} of channel ${encodeText(channel)}`;
        const cursor = row.cursor === null ? {} : { cursor: parseText(row.cursor, subject) };
        yield {
          channel,
          epoch: deriveEpoch(this.#storeId, channel, Number(row.generation)),
          message,
          ...cursor,
        };
      }
      if (rows.length < FAN_OUTS_PER_PAGE) return;
      id = Number(rows.at(-1)?.id);
      offset = Number(rows.at(-1)?.offset);
    }
  }

  /** Restarts the channel's idle time. */
  touch(channel: string): void {
    if (!this.#file.isOpen) return;
    const write = () => this.#statements.setUsed.run(encodeText(channel), this.#now());
    // If this fails, the idle time counts from the last append.
    this.#file.write(write, { durable: false }).catch(() => {});
  }

  /** Reads before it writes: a malformed row then fails this append alone, with nothing written. */
  #append(channel: string, message: NewMessage, body: string, retention: Retention): AppendResult {
    const found = this.#find(channel);
    const generation = found?.generation ?? this.#nextGeneration(channel);
    const epoch = deriveEpoch(this.#storeId, channel, generation);
    // A publisher whose clock is ahead must not expire keys or messages of others.
    const now = Math.min(message.at, this.#now());
    const known = found && this.#findDuplicate(found, message.key, now);
    if (known !== undefined) return { epoch, message: known, duplicate: true };
    const { addChannel, setHead, addMessage, addPendingFanOut, setKey } = this.#statements;
    const id =
      found?.id ??
      Number(
        addChannel.run(encodeText(channel), retention.size, retention.ageMs, generation).lastInsertRowid,
      );
    const { key, ...rest } = message;
    const offset = (found?.head ?? 0) + 1;
    addMessage.run(id, offset, message.at, body);
    addPendingFanOut.run(id, offset);
    const usedAt = this.#now();
    setHead.run(id, offset, retention.size, retention.ageMs, usedAt);
    if (key !== undefined) setKey.run(id, encodeText(key), message.at, offset, encodeText(message.id));
    const row = { id, head: offset, first: found?.first ?? 1, usedAt, generation, ...retention };
    this.#trimmer.afterAppend(row, now);
    return { epoch, message: { ...rest, offset }, duplicate: false };
  }

  /** Returns the earlier message with this key. Its data is `null` if the message was removed. */
  #findDuplicate(
    { id: channel, name }: ChannelRow,
    key: string | undefined,
    now: number,
  ): StoredMessage | undefined {
    const row = key === undefined ? undefined : this.#statements.key.get(channel, encodeText(key));
    if (row === undefined) return undefined;
    const { at, offset } = row;
    const subject = `The key of message ${offset} of channel ${encodeText(name)}`;
    if (typeof at !== "number" || typeof offset !== "number") throw badRowError(subject);
    if (now - at >= IDEMPOTENCY_WINDOW_MS || at - now >= MAX_KEY_AHEAD_MS) return undefined;
    const kept = this.#statements.message.get(channel, offset);
    return kept ? parseMessage(kept, name) : { id: parseText(row.id, subject), data: null, at, offset };
  }

  #markDelivered(channel: string, offset: number): void {
    const row = this.#find(channel);
    if (row === undefined) return;
    this.#statements.removePendingFanOut.run(row.id, offset);
    // The message was kept only until its delivery.
    if (offset < row.first) this.#statements.removeMessage.run(row.id, offset);
  }

  #page(
    row: ChannelRow,
    head: Position,
    { after, before, limit, retention, now }: HistoryQuery,
  ): HistoryPage {
    const { id, name, first } = row;
    const bySize = Math.max(first, row.head - retention.size + 1);
    const within = this.#statements.firstWithin.get(
      id,
      bySize,
      now - retention.ageMs,
      now + getMaxAheadMs(retention.ageMs),
    );
    let from = Math.max(Number(within?.offset ?? row.head + 1), (after ?? 0) + 1);
    let to = Math.max(from, Math.min(row.head + 1, before ?? row.head + 1));
    const more = to - from > limit;
    if (more && after === undefined) from = to - limit;
    else if (more) to = from + limit;
    const messages = this.#statements.messages.all(id, from, to).map((each) => parseMessage(each, name));
    // Offsets are written without gaps, so a missing row was removed by another program.
    const gap = messages.findIndex(({ offset }, at) => offset !== from + at);
    if (messages.length === to - from && gap === -1) return { head, messages, more };
    throw badRowError(
      `Message ${from + (gap === -1 ? messages.length : gap)} of channel ${encodeText(name)}`,
    );
  }

  #find(channel: string): ChannelRow | undefined {
    const row = this.#statements.channel.get(encodeText(channel));
    return row && parseChannelRow(row, channel);
  }

  #position(channel: string, row: ChannelRow | undefined): Position {
    const generation = row?.generation ?? this.#nextGeneration(channel);
    return { epoch: deriveEpoch(this.#storeId, channel, generation), offset: row?.head ?? 0 };
  }

  #nextGeneration(channel: string): number {
    return Number(this.#statements.generation.get(getEpochBucket(channel))?.generation ?? 0);
  }
}
