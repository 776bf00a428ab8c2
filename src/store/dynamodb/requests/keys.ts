import { createHash } from "node:crypto";
import type { NewRequest, RequestKey } from "../../contracts/requests.ts";
import type { Item } from "../client/errors.ts";
import { boundedKey } from "../client/key-text.ts";
import { shardOf } from "../client/shards.ts";
import { REQUEST_ATTRIBUTES as NAMES } from "../tables.ts";

/** An index partition takes 1,000 writes per second, so all of them take 2,000 requests per second. */
const SHARDS = 4;

export const SHARD_NAMES: readonly string[] = Array.from({ length: SHARDS }, (_, shard) => String(shard));

/** Sort keys of a request's items. Each of the other items begins with its prefix. */
export const STATE = "state";

/** Half of a partition key's limit: the id takes up to 770 bytes as JSON. */
const MAX_OWNER_BYTES = 1_024;
const TIME_DIGITS = 9;
const OFFSET_DIGITS = 12;
export const MAX_OFFSET = 10 ** OFFSET_DIGITS - 1;
/** Priorities beyond this are ordered like it. */
const MAX_PRIORITY = 1_000_000_000;
const PRIORITY_DIGITS = 10;
const TENANT_HASH_LENGTH = 16;

/**
 * Order of `OPEN_INDEX` within a shard. Delayed ones by time; open ones by priority, tenant and age; then running ones, where
 * running requests are counted. A dead letter sorts behind all of them.
 */
export const OPEN_CLASSES = { delayed: "d/", open: "o/", running: "r/", failed: "x/" } as const;

/** Encodes an owner. JSON has an end, so an owner and an id are never confused with another owner and id. */
export function ownerKey(owner: string): string {
  return boundedKey(JSON.stringify(owner), MAX_OWNER_BYTES);
}

export function partitionKey({ owner, id }: RequestKey): string {
  return `${ownerPrefix(owner)}${JSON.stringify(id)}`;
}

/** Begins the partition keys of all requests of an owner, and no others. */
export function ownerPrefix(owner: string): string {
  return `${ownerKey(owner)},`;
}

/** Returns owner and id, or `undefined` if the key has a hash of the owner. */
export function parsePartitionKey(key: string): RequestKey | undefined {
  if (!key.startsWith('"')) return undefined;
  const [owner, id] = JSON.parse(`[${key}]`) as [string, string];
  return { owner, id };
}

/** Returns the key of the state that an index names. */
export function tableKey(item: Item): Item {
  return itemKey(item[NAMES.request]?.S ?? "", STATE);
}

export function itemKey(partition: string, item: string): Item {
  return { [NAMES.request]: { S: partition }, [NAMES.item]: { S: item } };
}

/** By creation, because an expired request's id may be used again while its output still exists. */
export function outputKey(createdAt: string, offset: number): string {
  return `output/${createdAt}/${String(offset).padStart(OFFSET_DIGITS, "0")}`;
}

/** By content, so that a second request with the same id never replaces the input of the first. */
export function inputKey(inputHash: string): string {
  return `input/${inputHash}`;
}

export function resultKey(token: string): string {
  return `result/${token}`;
}

/** Two items of a token take turns, so that the one that the state names is never overwritten. */
export function checkpointKey(token: string, previous: string | undefined): string {
  const first = `checkpoint/${token}/0`;
  return previous === first ? `checkpoint/${token}/1` : first;
}

/** Formats ms as text that sorts in numeric order. */
export function formatTime(ms: number): string {
  return Math.max(0, Math.floor(ms)).toString(36).padStart(TIME_DIGITS, "0");
}

export function parseTime(text: string): number {
  return Number.parseInt(text, 36);
}

export function tenantHash(tenant: string): string {
  return createHash("sha256").update(JSON.stringify(tenant)).digest("base64url").slice(0, TENANT_HASH_LENGTH);
}

export function openShard(owner: string): string {
  return String(shardOf(ownerKey(owner), SHARDS));
}

/** Formats a priority as text that sorts the highest first. */
export function formatRank(priority: number): string {
  const bounded = Math.min(MAX_PRIORITY, Math.max(-MAX_PRIORITY, priority));
  return String(MAX_PRIORITY - bounded).padStart(PRIORITY_DIGITS, "0");
}

type Waiting = Pick<NewRequest, "tenant" | "priority" | "createdAt">;

export function openOrder({ tenant, priority, createdAt }: Waiting): string {
  return `${OPEN_CLASSES.open}${formatRank(priority)}/${tenantHash(tenant)}/${formatTime(createdAt)}`;
}

export function delayedOrder({ tenant }: Pick<NewRequest, "tenant">, dueAt: number): string {
  return `${OPEN_CLASSES.delayed}${formatTime(dueAt)}/${tenantHash(tenant)}`;
}

export function runningOrder(tenant: string): string {
  return `${OPEN_CLASSES.running}${tenantHash(tenant)}`;
}

export function failedOrder(at: number): string {
  return OPEN_CLASSES.failed + formatTime(at);
}
