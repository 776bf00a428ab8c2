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
import { type Head, headItem, keyItem, knownKeyOf, messageItem, rowOf, stored } from "./messages.ts";

/** Those who append to one channel at once wait for each other no longer than this at a time, in ms. */
const CONTENTION_PAUSE_MS = 100;

/** A message on its way into its channel. */
export interface Publication {
  readonly channel: string;
  readonly message: NewMessage;
  readonly retention: Retention;
}

/** A message that is appended only behind one position. */
interface ConditionalPublication extends Publication {
  readonly after: Position;
}

/** `left`: the channel's head as far as it is known, for the next one in this process. */
interface Outcome<Result> {
  readonly result: Result;
  readonly left: Head | undefined;
}

/**
 * The next offset, the message and its key in one transaction, or nothing of them.
 * @param hint the channel's head, when it is known; `readHead` asks for it
 * @throws {StoreError} STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 */
export async function append(
  client: RetryingClient,
  retry: Retry,
  publication: Publication,
  hint: Head | undefined,
  readHead: () => Promise<Head>,
): Promise<Outcome<AppendResult>> {
  for (let head = hint ?? (await readHead()); ; head = await readHead()) {
    const outcome = await tryAppend(client, retry, publication, head);
    if (outcome !== undefined) return outcome;
    await pause(retry, publication);
  }
}

/**
 * As `append`, if the channel's head is at a position; else `result` is undefined.
 * @throws {StoreError} STORE_UNAVAILABLE, STORE_REFUSED, BAD_ROW
 */
export async function appendAfter(
  client: RetryingClient,
  retry: Retry,
  publication: ConditionalPublication,
  hint: Head | undefined,
  readHead: () => Promise<Head>,
): Promise<Outcome<AppendResult | undefined>> {
  const { epoch, offset } = publication.after;
  // Another process may have written behind the hint. A hint further on is enough: an offset is never taken twice.
  const known = hint?.epoch === epoch && hint.offset >= offset ? hint : undefined;
  for (let head = known ?? (await readHead()); ; head = await readHead()) {
    if (head.epoch !== epoch || head.offset !== offset) {
      // A head that is no item says nothing of the table as it is by the next call: it may have been made anew.
      return { result: undefined, left: head.offset > 0 ? head : undefined };
    }
    const outcome = await tryAppend(client, retry, publication, head);
    if (outcome !== undefined) return outcome;
    await pause(retry, publication);
  }
}

/** `undefined`: another message has taken the offset, and nothing was stored. */
async function tryAppend(
  client: RetryingClient,
  retry: Retry,
  publication: Publication,
  head: Head,
): Promise<Outcome<AppendResult> | undefined> {
  const { message } = publication;
  const { epoch } = head;
  const next: Head = { epoch, offset: head.offset + 1, at: dateAfter(head, publication) };
  const writes = transaction(client.tableName, publication, head, next);
  // One token for all retry at this offset: one that was carried out, but not answered, is not made again.
  const failures = await transact(client, retry, writes, randomUUID());
  if (failures === undefined) {
    return { result: { epoch, message: stored(message, next.offset), duplicate: false }, left: next };
  }
  const result = appendedBefore(publication, failures);
  return result && { result, left: undefined };
}

/**
 * The date that decides how long a message stays: no earlier than that of the one before, so that a slow clock cuts
 * nothing off. A date that is a whole age ahead is not trusted, or all later messages would stay as long as it does.
 */
function dateAfter(head: Head, { message, retention }: Publication): number {
  return head.at - message.at >= getMaxAheadMs(retention.ageMs) ? message.at : Math.max(head.at, message.at);
}

async function pause(retry: Retry, { channel }: Publication): Promise<void> {
  if (await retry.pause(CONTENTION_PAUSE_MS)) return;
  throw new StoreError("STORE_UNAVAILABLE", `Others kept appending to ${JSON.stringify(channel)}`);
}

function transaction(
  tableName: string,
  { channel, message, retention }: Publication,
  head: Head,
  next: Head,
): TransactWriteItem[] {
  const { epoch, offset, at } = next;
  const row = { epoch, message: stored(message, offset), at, previousAt: head.at };
  const overLostEpoch = "attribute_not_exists(#item) OR #epoch <> :epoch";
  const puts = [
    put(tableName, headItem(channel, next), ...headIs(head)),
    put(tableName, messageItem(channel, row, retention.ageMs), overLostEpoch, { ":epoch": { S: epoch } }),
  ];
  if (message.key !== undefined) {
    const item = keyItem(channel, message.key, epoch, row.message);
    const isFree = `${overLostEpoch} OR #goodUntil <= :at OR #goodUntil >= :ahead`;
    const values = {
      ":at": { N: String(message.at) },
      ":ahead": { N: String(message.at + MAX_KEY_AHEAD_MS + IDEMPOTENCY_WINDOW_MS) },
      ":epoch": { S: epoch },
    };
    puts.push(put(tableName, item, isFree, values));
  }
  return puts.map((each) => ({ Put: each }));
}

/** An item from its first message on. */
function headIs(head: Head): [condition: string, values?: Item] {
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

function put(tableName: string, item: Item, condition: string, values?: Item): Put {
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
 * What stands in the transaction's way, if it is the message itself: under its key, or at its offset, where an attempt
 * has put it whose answer was lost for longer than DynamoDB knows its token.
 */
function appendedBefore(
  { message }: Publication,
  [, atOffset, atKey]: readonly (Item | undefined)[],
): AppendResult | undefined {
  const standing = atKey && isThere(atKey) ? knownKeyOf(atKey) : undefined;
  if (standing !== undefined && standing.message.id !== message.id) return { ...standing, duplicate: true };
  const own = standing ?? (atOffset && isThere(atOffset) ? rowOf(atOffset) : undefined);
  if (own?.message.id !== message.id) return undefined;
  return { epoch: own.epoch, message: stored(message, own.message.offset), duplicate: false };
}

function isThere(item: Item): boolean {
  return Object.keys(item).length > 0;
}
