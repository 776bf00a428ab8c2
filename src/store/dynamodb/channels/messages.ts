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
const LIFE = "life";
const MESSAGE_PREFIX = "message/";
const KEY_PREFIX = "key/";

/** As many as the largest offset has: as text they sort as numbers do. */
const OFFSET_DIGITS = 16;

/** A fan-out that failed is tried again for a while, and keeps where it is on its message. */
const KEPT_MS = 60 * 60 * 1000;

/** A channel's last message. */
export interface Head extends Position {
  /** ms since the epoch: when it was published, or one before it by a faster clock; 0 where there is none. */
  readonly at: number;
}

/** A message as it is stored. */
export interface Row {
  readonly epoch: string;
  readonly message: StoredMessage;
  /** ms since the epoch: what its head had when it was the last one, and the head before. */
  readonly at: number;
  readonly previousAt: number;
  readonly pending: boolean;
  readonly cursor?: string;
}

/** What a key stands for. */
export interface KnownKey {
  readonly epoch: string;
  /** Its `data` is not kept. */
  readonly message: StoredMessage;
}

export function headKey(channel: string): Item {
  return itemKey(channel, HEAD);
}

/** Of what all epochs of the table come from. No channel has it: their keys begin otherwise. */
export function lifeKey(): Item {
  return { [NAMES.channel]: { S: LIFE }, [NAMES.item]: { S: LIFE } };
}

export function lifeItem(life: string): Item {
  return { ...lifeKey(), [NAMES.epoch]: { S: life } };
}

/** @throws {StoreError} BAD_ROW */
export function lifeOf(item: Item): string {
  return item[NAMES.epoch]?.S ?? bad(item);
}

export function messageKey(channel: string, offset: number): Item {
  return itemKey(channel, messageName(offset));
}

/** The key in a hash: it may be longer than DynamoDB takes. */
function idempotencyKey(channel: string, key: string): Item {
  return itemKey(channel, KEY_PREFIX + createHash("sha256").update(key).digest("base64url"));
}

export function messageName(offset: number): string {
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
  { epoch, message, at, previousAt }: Omit<Row, "pending" | "cursor">,
  ageMs: number,
): Item {
  return {
    ...messageKey(channel, message.offset),
    [NAMES.epoch]: { S: epoch },
    [NAMES.message]: { S: JSON.stringify(message) },
    [NAMES.at]: { N: String(at) },
    [NAMES.previousAt]: { N: String(previousAt) },
    [NAMES.pending]: { BOOL: true },
    ...expiry(at + Math.max(ageMs, KEPT_MS)),
  };
}

export function keyItem(channel: string, key: string, epoch: string, message: StoredMessage): Item {
  const goodUntil = message.at + IDEMPOTENCY_WINDOW_MS;
  return {
    ...idempotencyKey(channel, key),
    [NAMES.epoch]: { S: epoch },
    [NAMES.message]: { S: JSON.stringify({ ...message, data: null } satisfies StoredMessage) },
    [NAMES.goodUntil]: { N: String(goodUntil) },
    ...expiry(goodUntil),
  };
}

export function stored({ id, data, userId, at }: NewMessage, offset: number): StoredMessage {
  return { id, offset, data, ...(userId === undefined ? {} : { userId }), at };
}

/** @throws {StoreError} BAD_ROW */
export function headOf(item: Item): Head {
  return {
    epoch: item[NAMES.epoch]?.S ?? bad(item),
    offset: numberOf(item, NAMES.offset),
    at: numberOf(item, NAMES.at),
  };
}

/** @throws {StoreError} BAD_ROW */
export function rowOf(item: Item): Row {
  const cursor = item[NAMES.cursor]?.S;
  return {
    ...knownKeyOf(item),
    at: numberOf(item, NAMES.at),
    previousAt: numberOf(item, NAMES.previousAt),
    pending: item[NAMES.pending] !== undefined,
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** @throws {StoreError} BAD_ROW */
export function knownKeyOf(item: Item): KnownKey {
  try {
    const message = JSON.parse(item[NAMES.message]?.S ?? "") as StoredMessage;
    return { epoch: item[NAMES.epoch]?.S ?? bad(item), message };
  } catch (cause) {
    throw cause instanceof StoreError ? cause : bad(item, cause);
  }
}

/**
 * The message that an item of the table is (such as the new image of a record in its stream), if it has not reached
 * everybody.
 * @throws {StoreError} BAD_ROW
 */
export function unfinishedMessage(image: Item): PendingFanOut | undefined {
  if (!image[NAMES.item]?.S?.startsWith(MESSAGE_PREFIX)) return undefined;
  const { epoch, message, pending, cursor } = rowOf(image);
  if (!pending) return undefined;
  const channel = textOfKey(image[NAMES.channel]?.S ?? bad(image));
  return { channel, epoch, message, ...(cursor === undefined ? {} : { cursor }) };
}

function itemKey(channel: string, item: string): Item {
  return { [NAMES.channel]: { S: keyText(channel) }, [NAMES.item]: { S: item } };
}

/** Nothing for a time that never comes. */
function expiry(ms: number): Item {
  const seconds = Math.ceil(ms / 1_000);
  return Number.isSafeInteger(seconds) ? { [NAMES.expiresAt]: { N: String(seconds) } } : {};
}

function numberOf(item: Item, name: string): number {
  const number = Number(item[name]?.N ?? Number.NaN);
  return Number.isFinite(number) ? number : bad(item);
}

/** Names the row, never what it holds: that is the application's, and this goes to a log. */
function bad(item: Item, cause?: unknown): never {
  const key = [item[NAMES.channel]?.S, item[NAMES.item]?.S];
  const message = `Item ${JSON.stringify(key)} is malformed`;
  throw new StoreError("BAD_ROW", message, cause === undefined ? undefined : { cause });
}
