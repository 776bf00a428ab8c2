import { randomBytes } from "node:crypto";
import type { UpdateItemInput } from "@aws-sdk/client-dynamodb";
import type { Json } from "../../contracts/json.ts";
import type { Item } from "../client/errors.ts";
import { CONNECTION_ATTRIBUTES } from "../tables.ts";
import { stateAttributeName, toJsonAttribute } from "./rows.ts";

/** The input of an `UpdateItem` without table and key. */
type Update = Pick<
  UpdateItemInput,
  "UpdateExpression" | "ConditionExpression" | "ExpressionAttributeNames" | "ExpressionAttributeValues"
>;

/** Excludes tombstones, which have no state, and expired rows. */
const IS_LIVE = "attribute_exists(#state) AND #liveUntil > :now";
const LIVE_NAMES = { "#state": CONNECTION_ATTRIBUTES.state, "#liveUntil": CONNECTION_ATTRIBUTES.liveUntil };

/**
 * Number of latest updates that a row remembers per key. An update recognizes itself after a lost response if at most
 * this many followed.
 */
const REMEMBERED_UPDATES = 8;
const WRITE_ID_BYTES = 6;

/** Maximum keys per update: DynamoDB limits an expression to 4 KB. */
export const KEYS_PER_UPDATE = 100;

/** Returns the update that sets or removes keys independently of their current values. */
export function createStateUpdate(
  entries: readonly (readonly [string, Json | undefined])[],
  now: number,
): Update {
  const names: Record<string, string> = { ...LIVE_NAMES };
  const values: Item = { ":now": { N: String(now) } };
  const sets: string[] = [];
  const removes: string[] = [];
  for (const [index, [key, value]] of entries.entries()) {
    names[`#k${index}`] = stateAttributeName(key);
    if (value === undefined) {
      removes.push(`#state.#k${index}`);
    } else {
      values[`:v${index}`] = toJsonAttribute(value);
      sets.push(`#state.#k${index} = :v${index}`);
    }
  }
  const clauses = [
    sets.length > 0 ? `SET ${sets.join(", ")}` : "",
    removes.length > 0 ? `REMOVE ${removes.join(", ")}` : "",
  ];
  return {
    UpdateExpression: clauses.join(" ").trim(),
    ConditionExpression: IS_LIVE,
    ExpressionAttributeNames: names,
    ExpressionAttributeValues: values,
  };
}

/** The stored text of one state key, and the ids of its latest updates. */
export interface StoredValue {
  readonly text: string | undefined;
  readonly writeIds: string | undefined;
}

export function readStoredValue(item: Item, key: string): StoredValue {
  const name = stateAttributeName(key);
  const own = (map: Item | undefined) => (map && Object.hasOwn(map, name) ? map[name]?.S : undefined);
  return {
    text: own(item[CONNECTION_ATTRIBUTES.state]?.M),
    writeIds: own(item[CONNECTION_ATTRIBUTES.updates]?.M),
  };
}

/** Creates the id of an update. */
export function createWriteId(): string {
  return randomBytes(WRITE_ID_BYTES).toString("base64url");
}

/**
 * Whether the row remembers the update. If a response was lost, the update is applied, but its retry fails on its
 * condition. Without the id the update would be made twice.
 */
export function wasApplied(writeId: string, stored: StoredValue): boolean {
  return stored.writeIds?.split(" ").includes(writeId) ?? false;
}

/** Returns the update that writes one key if it has not changed since the read, and records the update's id. */
export function createConditionalUpdate(
  key: string,
  stored: StoredValue,
  next: Json | undefined,
  writeId: string,
  now: number,
): Update {
  const writeIds = [writeId, ...(stored.writeIds?.split(" ") ?? [])].slice(0, REMEMBERED_UPDATES).join(" ");
  const write =
    next === undefined
      ? "SET #updates.#k = :writeIds REMOVE #state.#k"
      : "SET #updates.#k = :writeIds, #state.#k = :next";
  return {
    UpdateExpression: write,
    ConditionExpression: [
      IS_LIVE,
      stored.text === undefined ? "attribute_not_exists(#state.#k)" : "#state.#k = :text",
      stored.writeIds === undefined ? "attribute_not_exists(#updates.#k)" : "#updates.#k = :stored",
    ].join(" AND "),
    ExpressionAttributeNames: {
      ...LIVE_NAMES,
      "#updates": CONNECTION_ATTRIBUTES.updates,
      "#k": stateAttributeName(key),
    },
    ExpressionAttributeValues: {
      ":now": { N: String(now) },
      ":writeIds": { S: writeIds },
      ...(next === undefined ? {} : { ":next": toJsonAttribute(next) }),
      ...(stored.text === undefined ? {} : { ":text": { S: stored.text } }),
      ...(stored.writeIds === undefined ? {} : { ":stored": { S: stored.writeIds } }),
    },
  };
}
