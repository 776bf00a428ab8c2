import { getIdleTimeoutMs, getMaxAheadMs, IDEMPOTENCY_WINDOW_MS } from "../contracts/channel-history.ts";
import { getEpochBucket } from "../contracts/epoch.ts";
import { type ChannelRow, decodeText } from "./rows.ts";
import type { Statements } from "./statements.ts";

/** Appends between two trims. Removing messages in batches costs less than one statement per append. */
const APPENDS_PER_TRIM = 64;
/** Other channels checked each time, so that silent channels and their messages are removed too. */
const CHANNELS_PER_TRIM = 32;
/** More than appends add between two trims, but few enough not to delay appends. */
const MESSAGES_PER_TRIM = 1_000;
const KEYS_PER_TRIM = 4 * APPENDS_PER_TRIM;

type StoredChannel = Omit<ChannelRow, "name">;

export interface TrimmerOptions {
  readonly statements: Statements;
  /** A channel with members is never forgotten. */
  readonly hasMembers: (channel: string) => boolean;
  /**
   * When the file was opened, in ms since the epoch. Idle times start then at the earliest, because members could not
   * join before.
   */
  readonly openedAt: number;
}

/** Removes messages, keys and channels past their retention, as a part of appends. */
export class Trimmer {
  readonly #statements: Statements;
  readonly #hasMembers: (channel: string) => boolean;
  readonly #openedAt: number;
  #appends = 0;
  #lastChannel = 0;

  constructor({ statements, hasMembers, openedAt }: TrimmerOptions) {
    this.#statements = statements;
    this.#hasMembers = hasMembers;
    this.#openedAt = openedAt;
  }

  /** @param now ms since the epoch */
  afterAppend(channel: StoredChannel, now: number): void {
    if (channel.head % APPENDS_PER_TRIM === 0) this.#trim(channel, now);
    if (++this.#appends % APPENDS_PER_TRIM !== 0) return;
    this.#statements.removeKeys.run(now - IDEMPOTENCY_WINDOW_MS, KEYS_PER_TRIM);
    // Not parsed: the table checks the types, and a malformed row must not fail an append to another channel.
    const others = this.#statements.nextChannels.all(
      this.#lastChannel,
      CHANNELS_PER_TRIM,
    ) as unknown as (StoredChannel & { readonly name: string })[];
    for (const other of others) {
      const first = this.#trim(other, now);
      if (other.id !== channel.id && this.#isIdle({ ...other, first }, now)) this.#forget(other);
    }
    this.#lastChannel = others.length < CHANNELS_PER_TRIM ? 0 : others.at(-1)!.id;
  }

  #isIdle({ id, name, head, first, usedAt, ...retention }: ChannelRow, now: number): boolean {
    if (first <= head || now - Math.max(usedAt, this.#openedAt) < getIdleTimeoutMs(retention)) return false;
    const channel = decodeText(name);
    return channel !== undefined && !this.#hasMembers(channel) && !this.#statements.hasPendingFanOut.get(id);
  }

  /** Deletes everything under the id, because SQLite reuses ids. */
  #forget({ id, name }: Pick<ChannelRow, "id" | "name">): void {
    this.#statements.addGeneration.run(getEpochBucket(decodeText(name)!));
    this.#statements.removeKeysOf.run(id);
    this.#statements.removeChannel.run(id);
  }

  /** Returns the first remaining offset; head + 1 when there is none. */
  #trim({ id, head, first, size, ageMs }: StoredChannel, now: number): number {
    const bySize = Math.max(first, head - size + 1);
    const within = this.#statements.firstWithin.get(id, bySize, now - ageMs, now + getMaxAheadMs(ageMs));
    const next = Math.min(Number(within?.offset ?? head + 1), first + MESSAGES_PER_TRIM);
    if (next <= first) return first;
    this.#statements.removeMessages.run(id, first, next);
    this.#statements.setFirst.run(id, next);
    return next;
  }
}
