import { randomUUID } from "node:crypto";
import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";
import {
  type AppendResult,
  type ChannelHistory,
  getIdleTimeoutMs,
  getMaxAheadMs,
  type HistoryPage,
  type HistoryQuery,
  type NewMessage,
  type PendingFanOut,
  type Position,
  type Retention,
  type StoredMessage,
} from "../contracts/channel-history.ts";
import { deriveEpoch, getEpochBucket } from "../contracts/epoch.ts";
import { frozenCopy } from "./freeze.ts";
import { RecentKeys } from "./recent-keys.ts";

/** Channels swept on each append: more than one, so that there are no more idle ones than appends in their idle time. */
const SWEPT_PER_APPEND = 2;

interface Channel {
  readonly epoch: string;
  head: number;
  /** Ascending, without gaps, the last one the head's. */
  readonly messages: StoredMessage[];
  /** By offset. */
  readonly unfinished: Map<number, PendingFanOut>;
  /** Of the last append. */
  retention: Retention;
  /** Elapsed ms: the last append, or when the last member left. */
  usedAt: number;
}

/** History in this process's memory. Every change is made in one turn of the event loop, so none is half seen. */
export class MemoryHistory implements ChannelHistory {
  readonly #life = randomUUID();
  readonly #now: () => number;
  readonly #elapsed: Elapsed;
  readonly #hasMembers: (channel: string) => boolean;
  readonly #channels = new Map<string, Channel>();
  /** By bucket: how many of its channels were forgotten. The next epoch of each is another one. */
  readonly #generations = new Map<number, number>();
  readonly #keys = new RecentKeys();
  #sweeper: MapIterator<[string, Channel]> = this.#channels.entries();

  /** @param hasMembers a channel with members is never forgotten */
  constructor(now: () => number, hasMembers: (channel: string) => boolean = () => false) {
    this.#now = now;
    this.#elapsed = createElapsed(now);
    this.#hasMembers = hasMembers;
  }

  /** Channels that are kept now. */
  get size(): number {
    return this.#channels.size;
  }

  /** Starts the channel's idle time again. */
  touch(channel: string): void {
    const own = this.#channels.get(channel);
    if (own !== undefined) own.usedAt = this.#elapsed();
  }

  async append(channel: string, message: NewMessage, retention: Retention): Promise<AppendResult> {
    const { key, ...rest } = message;
    // A publisher whose clock is ahead must neither forget keys nor remove what others have published.
    const now = Math.min(message.at, this.#now());
    const known = key === undefined ? undefined : this.#keys.find(channel, key, now);
    const own = this.#channels.get(channel) ?? this.#create(channel, retention);
    if (known !== undefined) {
      const kept = own.messages[known.offset - firstOf(own)];
      return { epoch: own.epoch, message: kept ?? known, duplicate: true };
    }
    const stored = Object.freeze({ ...rest, data: frozenCopy(rest.data), offset: ++own.head });
    own.messages.push(stored);
    own.unfinished.set(stored.offset, { channel, epoch: own.epoch, message: stored });
    own.retention = retention;
    own.usedAt = this.#elapsed();
    if (key !== undefined) this.#keys.add(channel, key, stored);
    trim(own, now);
    this.#sweep(now);
    return { epoch: own.epoch, message: stored, duplicate: false };
  }

  async appendAfter(
    channel: string,
    { epoch, offset }: Position,
    message: Omit<NewMessage, "key">,
    retention: Retention,
  ): Promise<AppendResult | undefined> {
    const head = this.#position(channel, this.#channels.get(channel));
    return head.epoch === epoch && head.offset === offset
      ? this.append(channel, message, retention)
      : undefined;
  }

  async read(channel: string, query: HistoryQuery): Promise<HistoryPage> {
    const own = this.#channels.get(channel);
    const head = this.#position(channel, own);
    if (own === undefined) return { head, messages: [], more: false };
    const { after, before = Number.POSITIVE_INFINITY, limit } = query;
    const first = firstOf(own);
    const from = Math.max(firstKept(own, query.retention, query.now), (after ?? 0) + 1) - first;
    const to = Math.max(from, Math.min(before, own.head + 1) - first);
    const messages =
      after === undefined
        ? own.messages.slice(Math.max(from, to - limit), to)
        : own.messages.slice(from, Math.min(to, from + limit));
    return { head, messages, more: messages.length < to - from };
  }

  async readHead(channel: string): Promise<Position> {
    return this.#position(channel, this.#channels.get(channel));
  }

  async markDelivered(channel: string, offset: number): Promise<void> {
    this.#channels.get(channel)?.unfinished.delete(offset);
  }

  async checkpoint(channel: string, offset: number, cursor: string): Promise<void> {
    const unfinished = this.#channels.get(channel)?.unfinished;
    const entry = unfinished?.get(offset);
    if (entry !== undefined) unfinished?.set(offset, { ...entry, cursor });
  }

  async *listPendingFanOuts(storedBefore: number): AsyncGenerator<PendingFanOut> {
    for (const { unfinished } of this.#channels.values()) {
      for (const entry of unfinished.values()) if (entry.message.at < storedBefore) yield entry;
    }
  }

  #create(channel: string, retention: Retention): Channel {
    const epoch = this.#nextEpoch(channel);
    const usedAt = this.#elapsed();
    const created = { epoch, head: 0, messages: [], unfinished: new Map(), retention, usedAt };
    this.#channels.set(channel, created);
    return created;
  }

  #position(channel: string, own: Channel | undefined): Position {
    return { epoch: own?.epoch ?? this.#nextEpoch(channel), offset: own?.head ?? 0 };
  }

  #nextEpoch(channel: string): string {
    return deriveEpoch(this.#life, channel, this.#generations.get(getEpochBucket(channel)));
  }

  #sweep(now: number): void {
    this.#keys.sweep(now);
    for (let looked = 0; looked < SWEPT_PER_APPEND; looked++) {
      const next = this.#sweeper.next();
      if (next.done) {
        this.#sweeper = this.#channels.entries();
        return;
      }
      const [name, channel] = next.value;
      trim(channel, now);
      if (this.#isIdle(name, channel)) this.#forget(name);
    }
  }

  #isIdle(name: string, { messages, unfinished, retention, usedAt }: Channel): boolean {
    if (messages.length > 0 || unfinished.size > 0 || this.#hasMembers(name)) return false;
    return this.#elapsed() - usedAt >= getIdleTimeoutMs(retention);
  }

  #forget(name: string): void {
    this.#channels.delete(name);
    const bucket = getEpochBucket(name);
    this.#generations.set(bucket, (this.#generations.get(bucket) ?? 0) + 1);
  }
}

/** What is past the bounds goes from the front alone, so that it costs no more than it frees. */
function trim({ head, messages, retention }: Channel, now: number): void {
  let past = 0;
  for (const { offset, at } of messages) {
    if (offset > head - retention.size && isWithin(retention.ageMs, at, now)) break;
    past++;
  }
  if (past > 0) messages.splice(0, past);
}

/** Neither too old, nor dated too far ahead to be trusted. */
function isWithin(ageMs: number, at: number, now: number): boolean {
  return now - at < ageMs && at - now < getMaxAheadMs(ageMs);
}

/** The first offset within the bounds; behind the head when there is none. */
function firstKept(channel: Channel, { size, ageMs }: Retention, now: number): number {
  const { head, messages } = channel;
  const first = firstOf(channel);
  let kept = Math.max(first, head - size + 1);
  while (kept <= head && !isWithin(ageMs, messages[kept - first]!.at, now)) kept++;
  return kept;
}

/** The offset of the first message that is there; behind the head when there is none. */
function firstOf({ head, messages }: Channel): number {
  return head - messages.length + 1;
}
