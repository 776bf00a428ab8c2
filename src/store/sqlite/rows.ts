import type { SQLOutputValue } from "node:sqlite";
import type { NewMessage, StoredMessage } from "../contracts/channel-history.ts";
import { StoreError } from "../contracts/errors.ts";
import type { Json } from "../contracts/json.ts";

export type Row = Record<string, SQLOutputValue>;

/** A channel's row. The stored messages have the offsets `first` to `head`. */
export interface ChannelRow {
  readonly id: number;
  readonly name: string;
  readonly head: number;
  readonly first: number;
  readonly size: number;
  readonly ageMs: number;
  /** ms since the epoch. */
  readonly usedAt: number;
  /** Generation of the channel's epoch: number of channels that its bucket had lost when it was created. */
  readonly generation: number;
}

/** Encodes a name, a key or a cursor. As JSON, because SQLite requires well-formed Unicode. */
export function encodeText(value: string): string {
  return JSON.stringify(value);
}

/** @throws {StoreError} BAD_ROW */
export function parseChannelRow(row: Row, channel: string): ChannelRow {
  const { id, head, first, size, ageMs, usedAt, generation } = row;
  const own = { id, head, first, size, ageMs, usedAt, generation, name: channel } as ChannelRow;
  const numbers = [id, head, first, size, ageMs, usedAt, generation].every(
    (each) => typeof each === "number",
  );
  // The table checks the types only.
  if (!numbers || own.first < 1 || own.first > own.head + 1)
    throw badRowError(`Channel ${encodeText(channel)}`);
  return own;
}

export function encodeBody({ id, data, userId }: NewMessage): string {
  return JSON.stringify({ id, data, userId });
}

/** @throws {StoreError} BAD_ROW */
export function parseMessage(row: Row, channel: string): StoredMessage {
  const { offset, at, body } = row;
  const parts = typeof body === "string" ? parseJson(body) : undefined;
  if (!isBody(parts) || typeof offset !== "number" || typeof at !== "number") {
    throw badRowError(`Message ${offset} of channel ${encodeText(channel)}`);
  }
  const { id, data, userId } = parts;
  return { id, data, ...(userId === undefined ? {} : { userId }), at, offset };
}

/** Decodes a text of `encodeText`; `undefined` when it is malformed. */
export function decodeText(text: string): string | undefined {
  const name = parseJson(text);
  return typeof name === "string" ? name : undefined;
}

/** @throws {StoreError} BAD_ROW */
export function parseText(value: SQLOutputValue | undefined, subject: string): string {
  const text = typeof value === "string" ? parseJson(value) : undefined;
  if (typeof text !== "string") throw badRowError(subject);
  return text;
}

/** Names the row but not its content, because the message goes to a log. */
export function badRowError(subject: string): StoreError {
  return new StoreError("BAD_ROW", `${subject} is missing or malformed`);
}

/** Returns `undefined` when the text is malformed. */
export function parseJson(text: string): Json | undefined {
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
