import { randomUUID } from "node:crypto";
import type { Put, TransactWriteItem } from "@aws-sdk/client-dynamodb";
import type { Retry } from "../../../aws/index.ts";
import {
  type AppendResult,
  getMaxAheadMs,
  IDEMPOTENCY_WINDOW_MS,
  MAX_KEY_AHEAD_MS,
  type NewMessage,
  type Position,
  type Retention,
} from "../../contracts/channel-history.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { transact } from "../client/transact.ts";
import { MESSAGE_ATTRIBUTES as NAMES } from "../tables.ts";
import {
  type Head,
  headItem,
  idempotencyItem,
  messageItem,
  parseIdempotencyItem,
  parseMessageRow,
  toStoredMessage,
} from "./messages.ts";

/** Longest pause between two attempts while others append to the same channel, in ms. */
const CONTENTION_PAUSE_MS = 100;

/** A message to append. */
export interface Publication {
  readonly channel: string;
  readonly message: NewMessage;
  readonly retention: Retention;
}

/** A message to append only if the channel's head is at `after`. */
interface ConditionalPublication extends Publication {
  readonly after: Position;
}

/** Result of an append. `head` is the channel's head if it is known, for the next append in this process. */
export interface AppendOutcome<Result> {
  readonly result: Result;
  readonly head: Head | undefined;
}

/**
 * Appends a message: one transaction writes the next offset, the message and its idempotency key.
 * @param hint the channel's head, if it is known; otherwise `readHead` reads it
 * @throws {StoreError} STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 */
export async function append(
  client: RetryingClient,
  retry: Retry,
  publication: Publication,
  hint: Head | undefined,
  readHead: () => Promise<Head>,
): Promise<AppendOutcome<AppendResult>> {
  for (let head = hint ?? (await readHead()); ; head = await readHead()) {
    const outcome = await tryAppend(client, retry, publication, head);
    if (outcome !== undefined) return outcome;
    await pause(retry, publication);
  }
}

/**
 * Appends only if the channel's head is at `publication.after`; otherwise `result` is undefined.
 * @throws {StoreError} STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 */
export async function appendAfter(
  client: RetryingClient,
  retry: Retry,
  publication: ConditionalPublication,
  hint: Head | undefined,
  readHead: () => Promise<Head>,
): Promise<AppendOutcome<AppendResult | undefined>> {
  const { epoch, offset } = publication.after;
  // Ignores an older hint, because another process may have appended since. A newer hint is enough: no offset is used
  // twice.
  const known = hint?.epoch === epoch && hint.offset >= offset ? hint : undefined;
  for (let head = known ?? (await readHead()); ; head = await readHead()) {
    if (head.epoch !== epoch || head.offset !== offset) {
      // A head without an item is not passed on: the table may be created anew before the next call.
      return { result: undefined, head: head.offset > 0 ? head : undefined };
    }
    const outcome = await tryAppend(client, retry, publication, head);
    if (outcome !== undefined) return outcome;
    await pause(retry, publication);
  }
}

/** Returns `undefined` if the head has moved or the offset is taken; then nothing was stored. */
async function tryAppend(
  client: RetryingClient,
  retry: Retry,
  publication: Publication,
  head: Head,
): Promise<AppendOutcome<AppendResult> | undefined> {
  const { message } = publication;
  const { epoch } = head;
  const next: Head = { epoch, offset: head.offset + 1, at: retentionDate(head, publication) };
  const writes = createWrites(client.tableName, publication, head, next);
  // All retries at this offset share one token, so that DynamoDB does not repeat a write whose response was lost.
  const failures = await transact(client, retry, writes, randomUUID());
  if (failures === undefined) {
    return {
      result: { epoch, message: toStoredMessage(message, next.offset), duplicate: false },
      head: next,
    };
  }
  const result = findEarlierAppend(publication, failures);
  return result && { result, head: undefined };
}

/**
 * Returns the date that decides how long the message is retained. It is never earlier than the previous message's, so
 * that a slow clock does not evict messages. A date at least one retention age ahead is not trusted: it would retain
 * all later messages as long as itself.
 */
function retentionDate(head: Head, { message, retention }: Publication): number {
  return head.at - message.at >= getMaxAheadMs(retention.ageMs) ? message.at : Math.max(head.at, message.at);
}

async function pause(retry: Retry, { channel }: Publication): Promise<void> {
  if (await retry.pause(CONTENTION_PAUSE_MS)) return;
  throw new StoreError(
    "STORE_UNAVAILABLE",
    `Append to ${JSON.stringify(channel)} timed out: concurrent appends kept taking the offset`,
  );
}

function createWrites(
  tableName: string,
  { channel, message, retention }: Publication,
  head: Head,
  next: Head,
): TransactWriteItem[] {
  const { epoch, offset, at } = next;
  const row = { epoch, message: toStoredMessage(message, offset), at, previousAt: head.at };
  const itemIsFree = "attribute_not_exists(#item) OR #epoch <> :epoch";
  const puts = [
    createPut(tableName, headItem(channel, next), ...headCondition(head)),
    createPut(tableName, messageItem(channel, row, retention.ageMs), itemIsFree, {
      ":epoch": { S: epoch },
    }),
  ];
  if (message.key !== undefined) {
    const item = idempotencyItem(channel, message.key, epoch, row.message);
    const keyIsFree = `${itemIsFree} OR #goodUntil <= :at OR #goodUntil >= :ahead`;
    const values = {
      ":at": { N: String(message.at) },
      ":ahead": { N: String(message.at + MAX_KEY_AHEAD_MS + IDEMPOTENCY_WINDOW_MS) },
      ":epoch": { S: epoch },
    };
    puts.push(createPut(tableName, item, keyIsFree, values));
  }
  return puts.map((each) => ({ Put: each }));
}

/** A channel has a head item from its first message on. */
function headCondition(head: Head): [condition: string, values?: Item] {
  if (head.offset === 0) return ["attribute_not_exists(#item)"];
  const values = { ":epoch": { S: head.epoch }, ":offset": { N: String(head.offset) } };
  return ["#epoch = :epoch AND #offset = :offset", values];
}

const CONDITION_NAMES = {
  "#item": NAMES.item,
  "#epoch": NAMES.epoch,
  "#offset": NAMES.offset,
  "#goodUntil": NAMES.goodUntil,
};

function createPut(tableName: string, item: Item, condition: string, values?: Item): Put {
  const used = Object.entries(CONDITION_NAMES).filter(([name]) => condition.includes(name));
  return {
    TableName: tableName,
    Item: item,
    ConditionExpression: condition,
    ExpressionAttributeNames: Object.fromEntries(used),
    ExpressionAttributeValues: values,
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  };
}

/**
 * Returns the earlier append that made the transaction fail: another message with the same key, or this message
 * itself. The message itself is found under its key or at its offset, if an earlier attempt stored it and the
 * response was lost for longer than DynamoDB remembers the token.
 */
function findEarlierAppend(
  { message }: Publication,
  [, atOffset, atKey]: readonly (Item | undefined)[],
): AppendResult | undefined {
  const keyed = atKey && itemExists(atKey) ? parseIdempotencyItem(atKey) : undefined;
  if (keyed !== undefined && keyed.message.id !== message.id) return { ...keyed, duplicate: true };
  const own = keyed ?? (atOffset && itemExists(atOffset) ? parseMessageRow(atOffset) : undefined);
  if (own?.message.id !== message.id) return undefined;
  return { epoch: own.epoch, message: toStoredMessage(message, own.message.offset), duplicate: false };
}

function itemExists(item: Item): boolean {
  return Object.keys(item).length > 0;
}
