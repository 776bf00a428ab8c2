import { getMaxAheadMs, type HistoryQuery, type StoredMessage } from "../../contracts/channel-history.ts";
import type { Head, Row } from "./messages.ts";

/** A transaction's writes become visible one by one, but not this much later, in ms. */
const SETTLING_MS = 10_000;

/** Offsets, both included; none when `first` is past `last`. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** The part of a history that was asked for, and that its size has not cut off. */
export function spanOf(head: number, { after = 0, before = head + 1, retention }: HistoryQuery): Span {
  return { first: Math.max(after, head - retention.size, 0) + 1, last: Math.min(before - 1, head) };
}

/**
 * What of the rows that were read, the oldest first, history shows: no more than was asked for, and nothing that its
 * age has cut off, nor what is older than something missing.
 */
export function shownOf(
  rows: readonly Row[],
  span: Span,
  { after, limit, retention, now }: HistoryQuery,
): { readonly messages: readonly StoredMessage[]; readonly more: boolean } {
  let from = 0;
  for (const [index, { message, at, previousAt }] of rows.entries()) {
    const before = rows[index - 1];
    // A date too far ahead is not trusted: its message stays as long as the one before it.
    const isAhead = (date: number) => date - now >= getMaxAheadMs(retention.ageMs);
    const isYoung = (date: number) => now - date < retention.ageMs;
    const isKept = isAhead(at) ? from < index || (isYoung(previousAt) && !isAhead(previousAt)) : isYoung(at);
    if (!isKept) from = index + 1;
    else if (index > from && before?.message.offset !== message.offset - 1) from = index;
  }
  const kept = rows.slice(from).map(({ message }) => message);
  if (after === undefined) return { messages: kept.slice(-limit), more: kept.length > limit };
  const messages = kept.slice(0, limit);
  return { messages, more: messages.length === limit && (messages.at(-1)?.offset ?? 0) < span.last };
}

function isWithin(ms: number, at: number, now: number): boolean {
  return Math.abs(now - at) < ms;
}

/**
 * Whether a message is missing that was published so lately that it can only be on its way: a reader may see a head
 * before the message that it counts, and one message before the one below it.
 */
export function hasUnsettledGap(
  rows: readonly Row[],
  span: Span,
  head: Pick<Head, "offset" | "at">,
  query: HistoryQuery,
): boolean {
  const isLate = (publishedAt: number) => isWithin(SETTLING_MS, publishedAt, query.now);
  const ascending = query.after !== undefined;
  const first = rows[0]?.message.offset ?? span.first;
  let expected = !ascending && rows.length > query.limit ? first : span.first;
  for (const { message, previousAt } of rows) {
    if (message.offset !== expected && isLate(previousAt)) return true;
    expected = message.offset + 1;
  }
  const isReadToTheEnd = !ascending || shownOf(rows, span, query).messages.length < query.limit;
  return isReadToTheEnd && expected <= span.last && span.last === head.offset && isLate(head.at);
}
