import type { SQLOutputValue } from "node:sqlite";
import type { NewMessage, StoredMessage } from "../contracts/channel-history.ts";
import { StoreError } from "../contracts/errors.ts";
import type { Json } from "../contracts/json.ts";

type Row = Record<string, SQLOutputValue>;

/** A channel's row. Offsets of what is kept are `first` to `head`. */
export interface ChannelRow {
  readonly id: number;
  readonly name: string;
  readonly head: number;
  readonly first: number;
  readonly size: number;
  readonly ageMs: number;
  /** ms since the epoch. */
  readonly usedAt: number;
  /** The epoch's: how often the bucket had lost a channel when this one was made. */
  readonly generation: number;
}

/** What a name, a key or a cursor is in the database: SQLite has no text that is not well-formed Unicode. */
export function textOf(value: string): string {
  return JSON.stringify(value);
}

/** @throws {StoreError} BAD_ROW */
export function channelOf(row: Row, channel: string): ChannelRow {
  const { id, head, first, size, ageMs, usedAt, generation } = row;
  const own = { id, head, first, size, ageMs, usedAt, generation, name: channel } as ChannelRow;
  const numbers = [id, head, first, size, ageMs, usedAt, generation].every(
    (each) => typeof each === "number",
  );
  // The table sees to the types, nothing but us to the rest.
  if (!numbers || own.first < 1 || own.first > own.head + 1) throw badRow(`Channel ${textOf(channel)}`);
  return own;
}

export function bodyOf({ id, data, userId }: NewMessage): string {
  return JSON.stringify({ id, data, userId });
}

/** @throws {StoreError} BAD_ROW */
export function messageOf(row: Row, channel: string): StoredMessage {
  const { offset, at, body } = row;
  const parts = typeof body === "string" ? parsed(body) : undefined;
  if (!isBody(parts) || typeof offset !== "number" || typeof at !== "number") {
    throw badRow(`Message ${offset} of channel ${textOf(channel)}`);
  }
  const { id, data, userId } = parts;
  return { id, data, ...(userId === undefined ? {} : { userId }), at, offset };
}

/** Returns the name that `textOf` has made a text of; `undefined` when the text is malformed. */
export function nameOfText(text: string): string | undefined {
  const name = parsed(text);
  return typeof name === "string" ? name : undefined;
}

/** @throws {StoreError} BAD_ROW */
export function stringOf(value: SQLOutputValue | undefined, what: string): string {
  const text = typeof value === "string" ? parsed(value) : undefined;
  if (typeof text !== "string") throw badRow(what);
  return text;
}

/** Names the row, never what it holds: that is the application's, and this goes to a log. */
export function badRow(what: string): StoreError {
  return new StoreError("BAD_ROW", `${what} is missing or malformed`);
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function isBody(value: unknown): value is Pick<StoredMessage, "id" | "data" | "userId"> {
  if (typeof value !== "object" || value === null) return false;
  const { id, data, userId } = value as { readonly [name: string]: unknown };
  return typeof id === "string" && data !== undefined && ["string", "undefined"].includes(typeof userId);
}
