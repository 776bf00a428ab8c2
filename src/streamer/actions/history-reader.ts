import { type HistoryPayload, type HistoryResult, LIMITS } from "../../protocol/index.ts";
import type { HistoryPage, HistoryQuery, Position, StoredMessage, TimeBudget } from "../../store/index.ts";
import { type Channel, requireHistory } from "../channels.ts";
import { awaitStore } from "../errors.ts";
import { toChannelMessages } from "../messages.ts";
import { firstOffsetOf, type ReadableHistory } from "../readable-history.ts";

/** Selects a part of a history. */
export type HistorySelection = Omit<HistoryPayload, "channel">;

/** The messages after a position. */
interface Recovery {
  /** `false`: messages may be missing: too old, of another epoch, or the position is ahead of the head. */
  readonly recovered: boolean;
  /** Where the client stands afterwards: the last of `messages`, or the head if it is not given all of them. */
  readonly position: Position;
  readonly messages: readonly StoredMessage[];
  /** More messages follow `messages`. */
  readonly more: boolean;
}

/** Reads the stored messages of channels. Its methods throw NOT_FOUND (the namespace has no history) and STORE_FAILED. */
export class HistoryReader {
  readonly #history: ReadableHistory;
  readonly #now: () => number;

  constructor(history: ReadableHistory, now: () => number) {
    this.#history = history;
    this.#now = now;
  }

  async read(
    channel: Channel,
    { after, before, limit = LIMITS.messages }: HistorySelection,
    budget: TimeBudget | undefined,
  ): Promise<HistoryResult> {
    if (after !== undefined) {
      const { messages, ...rest } = await this.readAfter(channel, after, limit, budget);
      return { messages: toChannelMessages(channel.name, rest.position.epoch, messages), ...rest };
    }
    const query = before === undefined ? { limit } : { before, limit };
    const { head, messages, more } = await this.readPage(channel, query, budget);
    return { messages: toChannelMessages(channel.name, head.epoch, messages), position: head, more };
  }

  async readAfter(
    channel: Channel,
    after: Position,
    limit: number,
    budget: TimeBudget | undefined,
  ): Promise<Recovery> {
    const read = () => this.readPage(channel, { after: after.offset, limit }, budget);
    return toRecovery(await read(), after, false) ?? toRecovery(await read(), after, true)!;
  }

  async readPage(
    channel: Channel,
    query: Pick<HistoryQuery, "after" | "before" | "limit">,
    budget: TimeBudget | undefined,
  ): Promise<HistoryPage> {
    const retention = requireHistory(channel);
    return awaitStore(this.#history.read(channel.key, { ...query, retention, now: this.#now() }, budget));
  }
}

/**
 * Decides whether a history reaches back to a position.
 * @param page the store's page for `after.offset`
 * @param isSecond whether the page was read again after an undecided one
 * @returns `undefined` when a second page must decide: the page is empty, and its head may belong to a message that was
 * appended after its messages were read
 */
export function toRecovery(page: HistoryPage, after: Position, isSecond: boolean): Recovery | undefined {
  const { head, messages, more } = page;
  const lost: Recovery = { recovered: false, position: head, messages: [], more: false };
  if (after.epoch !== head.epoch || after.offset > head.offset) return lost;
  const [first] = messages;
  // The second page was requested after the first page's head existed, so it includes that message if it is stored.
  if (first === undefined && after.offset < head.offset) return isSecond ? lost : undefined;
  if (first !== undefined && firstOffsetOf(first) !== after.offset + 1) return lost;
  const last = { epoch: head.epoch, offset: messages.at(-1)?.offset ?? after.offset };
  // A later position would let the client drop the messages up to it, which it receives as a member.
  return { recovered: true, position: more ? head : last, messages, more };
}
