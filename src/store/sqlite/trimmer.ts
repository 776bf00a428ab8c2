import { IDEMPOTENCY_MS } from "../channels.ts";
import type { ChannelRow } from "./rows.ts";
import type { Statements } from "./statements.ts";

/** Messages go in batches: a statement for each append would cost more than the few that stay longer. */
export const APPENDS_PER_TRIM = 64;
/** Other channels looked at each time, so that a silent one's messages go too. */
const CHANNELS_PER_TRIM = 4;
/** More than come meanwhile, and few enough not to keep appends waiting. */
const MESSAGES_PER_TRIM = 1_000;
const KEYS_PER_TRIM = 4 * APPENDS_PER_TRIM;

type Kept = Omit<ChannelRow, "name">;

/** Removes what is past its bounds or its time, as a part of appends. */
export class Trimmer {
  readonly #statements: Statements;
  #appends = 0;
  #lastChannel = 0;

  constructor(statements: Statements) {
    this.#statements = statements;
  }

  /** @param now ms since the epoch */
  afterAppend(channel: Kept, now: number): void {
    if (channel.head % APPENDS_PER_TRIM === 0) this.#trim(channel, now);
    if (++this.#appends % APPENDS_PER_TRIM !== 0) return;
    this.#statements.removeKeys.run(now - IDEMPOTENCY_MS, KEYS_PER_TRIM);
    // Their types are the table's: nothing is wrong with them that would fail an append to another channel.
    const others = this.#statements.nextChannels.all(
      this.#lastChannel,
      CHANNELS_PER_TRIM,
    ) as unknown as Kept[];
    for (const other of others) this.#trim(other, now);
    this.#lastChannel = others.length < CHANNELS_PER_TRIM ? 0 : others.at(-1)!.id;
  }

  #trim({ id, head, first, size, ageMs }: Kept, now: number): void {
    const bySize = Math.max(first, head - size + 1);
    const within = this.#statements.firstWithin.get(id, bySize, now - ageMs, now + ageMs);
    const next = Math.min(Number(within?.offset ?? head + 1), first + MESSAGES_PER_TRIM);
    if (next <= first) return;
    this.#statements.removeMessages.run(id, first, next);
    this.#statements.setFirst.run(id, next);
  }
}
