import { StoreError } from "../../contracts/errors.ts";
import type { JsonObject } from "../../contracts/json.ts";
import { fingerprintRequest } from "../../contracts/request-fingerprint.ts";
import type {
  NewRequest,
  Requester,
  RequestKey,
  RequestState,
  StoredRequest,
} from "../../contracts/requests.ts";
import type { Item } from "../client/errors.ts";
import { itemSize } from "../client/item-size.ts";
import { REQUEST_ATTRIBUTES as NAMES } from "../tables.ts";
import {
  delayedOrder,
  formatTime,
  inputKey,
  itemKey,
  openOrder,
  openShard,
  ownerKey,
  parsePartitionKey,
  parseTime,
  partitionKey,
  STATE,
} from "./keys.ts";

/** A write unit. A part is stored in the state's item while that stays within it. */
const MAX_STATE_BYTES = 1_024;

/** Attributes that the claim adds to a new item. */
const CLAIM_BYTES = 80;

/**
 * How long a part with an item of its own exists: those of a request that is final cannot all be written again with the
 * time at which it expires. So a request also expires this long after it started.
 */
const MAX_LIFETIME_MS = 90 * 24 * 60 * 60_000;

/** The fields that never change. */
interface Content {
  readonly action: string;
  readonly tenant: string;
  readonly identity: JsonObject;
  readonly requester?: Requester;
  readonly priority: number;
  /** Present if the partition key has a hash of the owner. */
  readonly key?: RequestKey;
}

/** A request's state item. */
export interface StateRow {
  readonly request: StoredRequest;
  readonly inputHash: string;
  /** The token of the last claim. */
  readonly token: string | undefined;
  readonly hasOutput: boolean;
  /** The offset at which the worker has ended the output. */
  readonly outputEnd: number | undefined;
  /** Creation time, as in keys. */
  readonly createdAt: string;
  readonly item: Item;
}

export function stateKey(key: RequestKey): Item {
  return itemKey(partitionKey(key), STATE);
}

/** Returns the items of a new request. The input has an item of its own if it is too large for the state's. */
export function createItems(request: NewRequest): { readonly state: Item; readonly input: Item | undefined } {
  const { owner, id, action, tenant, identity, requester, priority, createdAt, dueAt } = request;
  const partition = partitionKey(request);
  const inputHash = fingerprintRequest(request);
  const content: Content = {
    action,
    tenant,
    identity,
    ...(requester === undefined ? {} : { requester }),
    priority,
    ...(parsePartitionKey(partition) === undefined ? { key: { owner, id } } : {}),
  };
  const state: Item = {
    ...stateKey(request),
    [NAMES.content]: { S: JSON.stringify(content) },
    [NAMES.owner]: { S: ownerKey(owner) },
    [NAMES.createdAt]: { S: formatTime(createdAt) },
    [NAMES.inputHash]: { S: inputHash },
    [NAMES.state]: { S: "PENDING" },
    [NAMES.attempt]: { N: "0" },
    [NAMES.dueAt]: { N: String(dueAt) },
    [NAMES.updatedAt]: { N: String(createdAt) },
    [NAMES.openShard]: { S: openShard(owner) },
    [NAMES.openOrder]: { S: dueAt > createdAt ? delayedOrder(request, dueAt) : openOrder(request) },
  };
  const input = { S: JSON.stringify(request.input) };
  const whole = { ...state, [NAMES.input]: input };
  if (itemSize(whole) + CLAIM_BYTES <= MAX_STATE_BYTES) return { state: whole, input: undefined };
  return { state, input: partItem(partition, inputKey(inputHash), input, Math.max(createdAt, dueAt)) };
}

/** A part with an item of its own. */
export function partItem(partition: string, item: string, data: { S: string }, at: number): Item {
  return {
    ...itemKey(partition, item),
    [NAMES.data]: data,
    [NAMES.expiresAt]: seconds(at + MAX_LIFETIME_MS),
  };
}

/** Whether the item stays within a write unit with these changes. */
export function fits(item: Item, changes: Item, removed: readonly string[]): boolean {
  const changed = { ...item, ...changes };
  for (const name of removed) delete changed[name];
  return itemSize(changed) <= MAX_STATE_BYTES;
}

/** The attributes of a request that expires. */
export function expiry({ request }: Pick<StateRow, "request">, expiresAt: number): Item {
  const ms = Math.min(expiresAt, Math.max(request.createdAt, request.dueAt) + MAX_LIFETIME_MS);
  return { [NAMES.goodUntil]: { N: String(ms) }, [NAMES.expiresAt]: seconds(ms) };
}

function seconds(ms: number): { N: string } {
  return { N: String(Math.ceil(ms / 1_000)) };
}

/** Returns `undefined` for a request that has expired. @throws {StoreError} BAD_ROW */
export function parseUnexpired(item: Item | undefined, now: number): StateRow | undefined {
  if (item === undefined || Object.keys(item).length === 0) return undefined;
  const goodUntil = item[NAMES.goodUntil]?.N;
  return goodUntil !== undefined && Number(goodUntil) <= now ? undefined : parseState(item);
}

/** @throws {StoreError} BAD_ROW */
export function parseState(item: Item): StateRow {
  try {
    return {
      request: parseRequest(item),
      inputHash: required(item[NAMES.inputHash]?.S),
      token: item[NAMES.token]?.S,
      hasOutput: item[NAMES.output] !== undefined,
      outputEnd: item[NAMES.output]?.N === undefined ? undefined : number(item, NAMES.output),
      createdAt: required(item[NAMES.createdAt]?.S),
      item,
    };
  } catch (cause) {
    throw createBadRowError(item, cause);
  }
}

function parseRequest(item: Item): StoredRequest {
  const { key, ...content } = JSON.parse(required(item[NAMES.content]?.S)) as Content;
  const state = required(item[NAMES.state]?.S) as RequestState;
  const json = (name: string) => JSON.parse(item[name]?.S ?? "");
  return {
    ...(key ?? required(parsePartitionKey(required(item[NAMES.request]?.S)))),
    ...content,
    createdAt: parseTime(required(item[NAMES.createdAt]?.S)),
    dueAt: number(item, NAMES.dueAt),
    state,
    attempt: number(item, NAMES.attempt),
    updatedAt: number(item, NAMES.updatedAt),
    ...(state === "PROCESSING" && { leaseUntil: number(item, NAMES.leaseUntil) }),
    ...(item[NAMES.progress] && { progress: json(NAMES.progress) }),
    ...(item[NAMES.failure] && { failure: json(NAMES.failure) }),
  };
}

function number(item: Item, name: string): number {
  const value = Number(item[name]?.N ?? Number.NaN);
  if (!Number.isFinite(value)) throw new TypeError(`${name} is not a number`);
  return value;
}

function required<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new TypeError("An attribute is missing");
  return value;
}

/** Names the item, never its content: the content belongs to the application, and the message goes to logs. */
export function createBadRowError(key: Item, cause?: unknown): StoreError {
  const name = JSON.stringify([key[NAMES.request]?.S, key[NAMES.item]?.S]);
  const message = `Item ${name} is malformed or missing; delete or repair the request`;
  return new StoreError("BAD_ROW", message, cause === undefined ? undefined : { cause });
}
