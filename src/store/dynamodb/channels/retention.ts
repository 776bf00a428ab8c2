import { getMaxAheadMs, type HistoryQuery, type StoredMessage } from "../../contracts/channel-history.ts";
import type { Head, MessageRow } from "./messages.ts";

/** Writes of one transaction become visible one by one, within this time in ms. */
const SETTLING_MS = 10_000;

/** A range of offsets, both included. Empty if `first` is greater than `last`. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** Returns the offsets that the query asks for and that the retention size still holds. */
export function toSpan(head: number, { after = 0, before = head + 1, retention }: HistoryQuery): Span {
  return { first: Math.max(after, head - retention.size, 0) + 1, last: Math.min(before - 1, head) };
}

/**
 * Selects the messages of a page, from rows in ascending order. It drops rows past their age, rows older than a gap,
 * and rows over the limit.
 */
export function selectMessages(
  rows: readonly MessageRow[],
  span: Span,
  { after, limit, retention, now }: HistoryQuery,
): { readonly messages: readonly StoredMessage[]; readonly more: boolean } {
  let from = 0;
  for (const [index, { message, at, previousAt }] of rows.entries()) {
    const before = rows[index - 1];
    // A date too far ahead is not trusted: its message is retained as long as the one before it.
    const isTooFarAhead = (date: number) => date - now >= getMaxAheadMs(retention.ageMs);
    const isYoung = (date: number) => now - date < retention.ageMs;
    const isRetained = isTooFarAhead(at)
      ? from < index || (isYoung(previousAt) && !isTooFarAhead(previousAt))
      : isYoung(at);
    if (!isRetained) from = index + 1;
    else if (index > from && before?.message.offset !== message.offset - 1) from = index;
  }
  const retained = rows.slice(from).map(({ message }) => message);
  if (after === undefined) return { messages: retained.slice(-limit), more: retained.length > limit };
  const messages = retained.slice(0, limit);
  return { messages, more: messages.length === limit && (messages.at(-1)?.offset ?? 0) < span.last };
}

function isWithin(ms: number, at: number, now: number): boolean {
  return Math.abs(now - at) < ms;
}

/**
 * Whether a missing message was published so recently that its write may still become visible. A reader may see a
 * head before its message, and a message before the one below it.
 */
export function hasUnsettledGap(
  rows: readonly MessageRow[],
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
  const hasReadAll = !ascending || selectMessages(rows, span, query).messages.length < query.limit;
  return hasReadAll && expected <= span.last && span.last === head.offset && isLate(head.at);
}
