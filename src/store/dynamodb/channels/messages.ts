import { createHash } from "node:crypto";
import {
  IDEMPOTENCY_WINDOW_MS,
  type NewMessage,
  type PendingFanOut,
  type Position,
  type StoredMessage,
} from "../../contracts/channel-history.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Item } from "../client/errors.ts";
import { keyText, textOfKey } from "../client/key-text.ts";
import { MESSAGE_ATTRIBUTES as NAMES } from "../tables.ts";

const HEAD = "head";
const STORE_ID = "life";
const MESSAGE_PREFIX = "message/";
const KEY_PREFIX = "key/";

/** The digits of the largest offset. Padded, offsets sort as text in numeric order. */
const OFFSET_DIGITS = 16;

/**
 * Minimum time that a message is kept: a failed fan-out is retried for an hour and stores its cursor on the message.
 */
const MIN_LIFETIME_MS = 60 * 60 * 1000;

/** The position of a channel's last message. */
export interface Head extends Position {
  /**
   * Date of the last message, or of an earlier one from a faster clock, in ms since the epoch. 0 in an empty channel.
   */
  readonly at: number;
}

/** A message as stored. */
export interface MessageRow {
  readonly epoch: string;
  readonly message: StoredMessage;
  /** Dates of the head with this message, and of the head before it, in ms since the epoch. */
  readonly at: number;
  readonly previousAt: number;
  readonly pending: boolean;
  readonly cursor?: string;
}

/** The message that was stored with an idempotency key. */
export interface IdempotentMessage {
  readonly epoch: string;
  /** Its `data` is `null`: the item does not store it. */
  readonly message: StoredMessage;
}

export function headKey(channel: string): Item {
  return itemKey(channel, HEAD);
}

/**
 * Returns the key of the store's id, from which all epochs of the table derive. It differs from every channel's key,
 * because those begin with `:` or `!`.
 */
export function storeIdKey(): Item {
  return { [NAMES.channel]: { S: STORE_ID }, [NAMES.item]: { S: STORE_ID } };
}

export function storeIdItem(storeId: string): Item {
  return { ...storeIdKey(), [NAMES.epoch]: { S: storeId } };
}

/** @throws {StoreError} BAD_ROW */
export function parseStoreId(item: Item): string {
  return item[NAMES.epoch]?.S ?? throwBadRow(item);
}

export function messageKey(channel: string, offset: number): Item {
  return itemKey(channel, messageSortKey(offset));
}

/** Hashes the idempotency key, which may be longer than a sort key. */
function idempotencyKey(channel: string, key: string): Item {
  return itemKey(channel, KEY_PREFIX + createHash("sha256").update(key).digest("base64url"));
}

export function messageSortKey(offset: number): string {
  return MESSAGE_PREFIX + String(offset).padStart(OFFSET_DIGITS, "0");
}

export function headItem(channel: string, head: Head): Item {
  return {
    ...headKey(channel),
    [NAMES.epoch]: { S: head.epoch },
    [NAMES.offset]: { N: String(head.offset) },
    [NAMES.at]: { N: String(head.at) },
  };
}

export function messageItem(
  channel: string,
  { epoch, message, at, previousAt }: Omit<MessageRow, "pending" | "cursor">,
  ageMs: number,
): Item {
  return {
    ...messageKey(channel, message.offset),
    [NAMES.epoch]: { S: epoch },
    [NAMES.message]: { S: JSON.stringify(message) },
    [NAMES.at]: { N: String(at) },
    [NAMES.previousAt]: { N: String(previousAt) },
    [NAMES.pending]: { BOOL: true },
    ...expiry(at + Math.max(ageMs, MIN_LIFETIME_MS)),
  };
}

export function idempotencyItem(channel: string, key: string, epoch: string, message: StoredMessage): Item {
  const goodUntil = message.at + IDEMPOTENCY_WINDOW_MS;
  return {
    ...idempotencyKey(channel, key),
    [NAMES.epoch]: { S: epoch },
    [NAMES.message]: { S: JSON.stringify({ ...message, data: null } satisfies StoredMessage) },
    [NAMES.goodUntil]: { N: String(goodUntil) },
    ...expiry(goodUntil),
  };
}

export function toStoredMessage({ id, data, userId, at }: NewMessage, offset: number): StoredMessage {
  return { id, offset, data, ...(userId === undefined ? {} : { userId }), at };
}

/** @throws {StoreError} BAD_ROW */
export function parseHead(item: Item): Head {
  return {
    epoch: item[NAMES.epoch]?.S ?? throwBadRow(item),
    offset: parseNumber(item, NAMES.offset),
    at: parseNumber(item, NAMES.at),
  };
}

/** @throws {StoreError} BAD_ROW */
export function parseMessageRow(item: Item): MessageRow {
  const cursor = item[NAMES.cursor]?.S;
  return {
    ...parseIdempotencyItem(item),
    at: parseNumber(item, NAMES.at),
    previousAt: parseNumber(item, NAMES.previousAt),
    pending: item[NAMES.pending] !== undefined,
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** @throws {StoreError} BAD_ROW */
export function parseIdempotencyItem(item: Item): IdempotentMessage {
  try {
    const message = JSON.parse(item[NAMES.message]?.S ?? "") as StoredMessage;
    return { epoch: item[NAMES.epoch]?.S ?? throwBadRow(item), message };
  } catch (cause) {
    throw cause instanceof StoreError ? cause : throwBadRow(item, cause);
  }
}

/**
 * Parses an item of the table, such as a record's new image from the table's stream. Returns `undefined` unless it is
 * a message whose fan-out is pending.
 * @throws {StoreError} BAD_ROW
 */
export function parsePendingFanOut(image: Item): PendingFanOut | undefined {
  if (!image[NAMES.item]?.S?.startsWith(MESSAGE_PREFIX)) return undefined;
  const { epoch, message, pending, cursor } = parseMessageRow(image);
  if (!pending) return undefined;
  const channel = textOfKey(image[NAMES.channel]?.S ?? throwBadRow(image));
  return { channel, epoch, message, ...(cursor === undefined ? {} : { cursor }) };
}

function itemKey(channel: string, item: string): Item {
  return { [NAMES.channel]: { S: keyText(channel) }, [NAMES.item]: { S: item } };
}

/** Returns no attribute if the time is not finite: then the item never expires. */
function expiry(ms: number): Item {
  const seconds = Math.ceil(ms / 1_000);
  return Number.isSafeInteger(seconds) ? { [NAMES.expiresAt]: { N: String(seconds) } } : {};
}

function parseNumber(item: Item, name: string): number {
  const number = Number(item[name]?.N ?? Number.NaN);
  return Number.isFinite(number) ? number : throwBadRow(item);
}

/** Names the item, never its content: the content belongs to the application, and the message goes to logs. */
function throwBadRow(item: Item, cause?: unknown): never {
  const key = [item[NAMES.channel]?.S, item[NAMES.item]?.S];
  const message = `Item ${JSON.stringify(key)} is malformed; delete or repair it`;
  throw new StoreError("BAD_ROW", message, cause === undefined ? undefined : { cause });
}
