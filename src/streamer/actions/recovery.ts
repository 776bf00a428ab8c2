import type { HistoryPage, Position, StoredMessage } from "../../store/index.ts";

/** What came after a position. */
export interface Recovery {
  /** Whether `messages`, and what `more` stands for, are all of it. */
  readonly recovered: boolean;
  /** Of the last message there was when it was read. */
  readonly position: Position;
  readonly messages: readonly StoredMessage[];
  readonly more: boolean;
}

/**
 * Whether a history reaches back to a position. `undefined`: the page can't tell, for its head may be of a message
 * that came after its messages were read; a second page can.
 * @param page what the store gave for `after.offset`
 */
export function recovery(page: HistoryPage, after: Position, isSecond: boolean): Recovery | undefined {
  const { head, messages, more } = page;
  const lost: Recovery = { recovered: false, position: head, messages: [], more: false };
  if (after.epoch !== head.epoch || after.offset > head.offset) return lost;
  const [first] = messages;
  // What the first page's head counts was there before the second was asked for.
  if (first === undefined && after.offset < head.offset) return isSecond ? lost : undefined;
  if (first !== undefined && first.offset !== after.offset + 1) return lost;
  const last = { epoch: head.epoch, offset: messages.at(-1)?.offset ?? after.offset };
  // A later head would have the client drop what reaches it as a member.
  return { recovered: true, position: more ? head : last, messages, more };
}
