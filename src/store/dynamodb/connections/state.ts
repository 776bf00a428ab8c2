import { randomBytes } from "node:crypto";
import type { UpdateItemInput } from "@aws-sdk/client-dynamodb";
import type { Json } from "../../contracts/json.ts";
import type { Item } from "../client/errors.ts";
import { CONNECTION_ATTRIBUTES } from "../tables.ts";
import { jsonText, nameOf } from "./rows.ts";

/** Everything of an `UpdateItem` but the table and the key. */
type Update = Pick<
  UpdateItemInput,
  "UpdateExpression" | "ConditionExpression" | "ExpressionAttributeNames" | "ExpressionAttributeValues"
>;

/** A tombstone has no state, so it is no row; nor is what is past its time. */
const IS_LIVE = "attribute_exists(#state) AND #liveUntil > :now";
const LIVE_NAMES = { "#state": CONNECTION_ATTRIBUTES.state, "#liveUntil": CONNECTION_ATTRIBUTES.liveUntil };

/** How many of a key's last updates the row remembers: as many can come between a write and its lost answer. */
const REMEMBERED_UPDATES = 8;
const MARK_BYTES = 6;

/** Keys of one call: DynamoDB takes an expression of 4 KB. */
export const KEYS_PER_UPDATE = 100;

/** Writes some keys, each on its own, whatever they hold. */
export function stateUpdate(entries: readonly (readonly [string, Json | undefined])[], now: number): Update {
  const names: Record<string, string> = { ...LIVE_NAMES };
  const values: Item = { ":now": { N: String(now) } };
  const sets: string[] = [];
  const removes: string[] = [];
  for (const [index, [key, value]] of entries.entries()) {
    names[`#k${index}`] = nameOf(key);
    if (value === undefined) {
      removes.push(`#state.#k${index}`);
    } else {
      values[`:v${index}`] = jsonText(value);
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

/** What an item holds of one key: the value as it is stored, and which updates wrote it last. */
export interface StoredValue {
  readonly text: string | undefined;
  readonly writeIds: string | undefined;
}

export function readStoredValue(item: Item, key: string): StoredValue {
  const name = nameOf(key);
  const own = (map: Item | undefined) => (map && Object.hasOwn(map, name) ? map[name]?.S : undefined);
  return {
    text: own(item[CONNECTION_ATTRIBUTES.state]?.M),
    writeIds: own(item[CONNECTION_ATTRIBUTES.updates]?.M),
  };
}

/** Tells one update from all others. */
export function createWriteId(): string {
  return randomBytes(MARK_BYTES).toString("base64url");
}

/**
 * Whether the update is among those that the row remembers. An answer that was lost on its way leaves its
 * update applied but refused when it is tried again; without the mark it would be made twice.
 */
export function wasApplied(mark: string, held: StoredValue): boolean {
  return held.writeIds?.split(" ").includes(mark) ?? false;
}

/** Writes one key if it still is what it was, and leaves the update's mark. */
export function conditionalUpdate(
  key: string,
  held: StoredValue,
  next: Json | undefined,
  mark: string,
  now: number,
): Update {
  const marks = [mark, ...(held.writeIds?.split(" ") ?? [])].slice(0, REMEMBERED_UPDATES).join(" ");
  const write =
    next === undefined
      ? "SET #updates.#k = :marks REMOVE #state.#k"
      : "SET #updates.#k = :marks, #state.#k = :next";
  return {
    UpdateExpression: write,
    ConditionExpression: [
      IS_LIVE,
      held.text === undefined ? "attribute_not_exists(#state.#k)" : "#state.#k = :text",
      held.writeIds === undefined ? "attribute_not_exists(#updates.#k)" : "#updates.#k = :held",
    ].join(" AND "),
    ExpressionAttributeNames: { ...LIVE_NAMES, "#updates": CONNECTION_ATTRIBUTES.updates, "#k": nameOf(key) },
    ExpressionAttributeValues: {
      ":now": { N: String(now) },
      ":marks": { S: marks },
      ...(next === undefined ? {} : { ":next": jsonText(next) }),
      ...(held.text === undefined ? {} : { ":text": { S: held.text } }),
      ...(held.writeIds === undefined ? {} : { ":held": { S: held.writeIds } }),
    },
  };
}
