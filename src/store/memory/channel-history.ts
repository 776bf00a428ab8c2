import { randomUUID } from "node:crypto";
import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";
import {
  type AppendResult,
  type ChannelHistory,
  getIdleTimeoutMs,
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
import { frozenCopy } from "./freeze.ts";

/** Channels checked on each append. More than one, so that idle channels never outnumber the appends. */
const SWEPT_PER_APPEND = 2;

interface Channel {
  readonly epoch: string;
  head: number;
  /** Ascending, without gaps, up to the head. */
  readonly messages: StoredMessage[];
  /** By offset. */
  readonly pending: Map<number, PendingFanOut>;
  /** The retention of the last append. */
  retention: Retention;
  /** Elapsed ms: time of the last append, or when the last member left. */
  usedAt: number;
}

/** History in this process's memory. Each change is made in one turn of the event loop, so it is atomic. */
export class MemoryHistory implements ChannelHistory {
  readonly #storeId = randomUUID();
  readonly #now: () => number;
  readonly #elapsed: Elapsed;
  readonly #hasMembers: (channel: string) => boolean;
  readonly #channels = new Map<string, Channel>();
  /** By bucket: number of forgotten channels. It makes the next epochs of these channels new ones. */
  readonly #generations = new Map<number, number>();
  readonly #keys = new RecentKeys();
  #sweeper: MapIterator<[string, Channel]> = this.#channels.entries();

  /** @param hasMembers a channel with members is never forgotten */
  constructor(now: () => number, hasMembers: (channel: string) => boolean = () => false) {
    this.#now = now;
    this.#elapsed = createElapsed(now);
    this.#hasMembers = hasMembers;
  }

  /** Number of stored channels. */
  get size(): number {
    return this.#channels.size;
  }

  /** Restarts the channel's idle time. */
  touch(channel: string): void {
    const own = this.#channels.get(channel);
    if (own !== undefined) own.usedAt = this.#elapsed();
  }

  async append(channel: string, message: NewMessage, retention: Retention): Promise<AppendResult> {
    const { key, ...rest } = message;
    // A publisher whose clock is ahead must not expire keys or messages of others.
    const now = Math.min(message.at, this.#now());
    const known = key === undefined ? undefined : this.#keys.find(channel, key, now);
    const own = this.#channels.get(channel) ?? this.#create(channel, retention);
    if (known !== undefined) {
      const kept = own.messages[known.offset - getFirstOffset(own)];
      return { epoch: own.epoch, message: kept ?? known, duplicate: true };
    }
    const stored = Object.freeze({ ...rest, data: frozenCopy(rest.data), offset: ++own.head });
    own.messages.push(stored);
    own.pending.set(stored.offset, { channel, epoch: own.epoch, message: stored });
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
    const first = getFirstOffset(own);
    const from = Math.max(findFirstRetained(own, query.retention, query.now), (after ?? 0) + 1) - first;
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
    this.#channels.get(channel)?.pending.delete(offset);
  }

  async checkpoint(channel: string, offset: number, cursor: string): Promise<void> {
    const pending = this.#channels.get(channel)?.pending;
    const entry = pending?.get(offset);
    if (entry !== undefined) pending?.set(offset, { ...entry, cursor });
  }

  async *listPendingFanOuts(storedBefore: number): AsyncGenerator<PendingFanOut> {
    for (const { pending } of this.#channels.values()) {
      for (const entry of pending.values()) if (entry.message.at < storedBefore) yield entry;
    }
  }

  #create(channel: string, retention: Retention): Channel {
    const epoch = this.#nextEpoch(channel);
    const usedAt = this.#elapsed();
    const created = { epoch, head: 0, messages: [], pending: new Map(), retention, usedAt };
    this.#channels.set(channel, created);
    return created;
  }

  #position(channel: string, own: Channel | undefined): Position {
    return { epoch: own?.epoch ?? this.#nextEpoch(channel), offset: own?.head ?? 0 };
  }

  #nextEpoch(channel: string): string {
    return deriveEpoch(this.#storeId, channel, this.#generations.get(getEpochBucket(channel)));
  }

  #sweep(now: number): void {
    this.#keys.sweep(now);
    for (let checked = 0; checked < SWEPT_PER_APPEND; checked++) {
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

  #isIdle(name: string, { messages, pending, retention, usedAt }: Channel): boolean {
    if (messages.length > 0 || pending.size > 0 || this.#hasMembers(name)) return false;
    return this.#elapsed() - usedAt >= getIdleTimeoutMs(retention);
  }

  #forget(name: string): void {
    this.#channels.delete(name);
    const bucket = getEpochBucket(name);
    this.#generations.set(bucket, (this.#generations.get(bucket) ?? 0) + 1);
  }
}

/** Removes messages past the retention from the front only, so that it costs no more than it frees. */
function trim({ head, messages, retention }: Channel, now: number): void {
  let past = 0;
  for (const { offset, at } of messages) {
    if (offset > head - retention.size && isWithin(retention.ageMs, at, now)) break;
    past++;
  }
  messages.splice(0, past);
}

/** Returns whether a message is neither too old nor dated too far ahead to be trusted. */
function isWithin(ageMs: number, at: number, now: number): boolean {
  return now - at < ageMs && at - now < getMaxAheadMs(ageMs);
}

/** Returns the first offset within the retention; head + 1 when there is none. */
function findFirstRetained(channel: Channel, { size, ageMs }: Retention, now: number): number {
  const { head, messages } = channel;
  const first = getFirstOffset(channel);
  let kept = Math.max(first, head - size + 1);
  while (kept <= head && !isWithin(ageMs, messages[kept - first]!.at, now)) kept++;
  return kept;
}

/** Returns the offset of the first stored message; head + 1 when there is none. */
function getFirstOffset({ head, messages }: Channel): number {
  return head - messages.length + 1;
}

/** Remembers recent idempotency keys and their messages, without the data, which could take too much memory. */
class RecentKeys {
  /** In order of insertion, and so roughly of expiry. */
  readonly #messages = new Map<string, StoredMessage>();

  find(channel: string, key: string, now: number): StoredMessage | undefined {
    const message = this.#messages.get(toMapKey(channel, key));
    return message !== undefined && isRecent(message, now) ? message : undefined;
  }

  add(channel: string, key: string, message: StoredMessage): void {
    const name = toMapKey(channel, key);
    this.#messages.delete(name);
    this.#messages.set(name, Object.freeze({ ...message, data: null }));
  }

  sweep(now: number): void {
    for (const [name, message] of this.#messages) {
      if (isRecent(message, now)) break;
      this.#messages.delete(name);
    }
  }
}

function isRecent({ at }: StoredMessage, now: number): boolean {
  return now - at < IDEMPOTENCY_WINDOW_MS && at - now < MAX_KEY_AHEAD_MS;
}

/** Returns a key that no other pair has. */
function toMapKey(channel: string, key: string): string {
  return JSON.stringify([channel, key]);
}
