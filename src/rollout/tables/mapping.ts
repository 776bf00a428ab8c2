import { isDeepStrictEqual } from "node:util";
import { type Connection, type Json, type JsonObject, StoreError } from "../../store/index.ts";
import type { Item } from "../dynamodb.ts";

/** An index of a table. */
export interface MappedIndex {
  /** The name of the index. */
  readonly name: string;
  /** The attribute of its partition key, which holds the user's or tenant's id as text. */
  readonly partitionKey: string;
}

/** Describes a DynamoDB table of connections that other code owns. */
export interface TableMapping {
  /** Returns the key of a connection's item. */
  readonly key: (id: string) => Item;
  /** Returns the item of a connection, with its key. Fields without an attribute are stored beside it. */
  readonly toItem: (connection: Connection) => Item;
  /**
   * Reads an item that any code has written. Returns `undefined` for items that are not connections.
   * @throws {StoreError} BAD_ROW for a malformed item
   */
  readonly fromItem: (item: Item) => Connection | undefined;
  /** The index by user. Default: none; `listByUser` then reads the whole table. */
  readonly userIndex?: MappedIndex;
  /** The index by tenant. Default: none; `listByTenant` then reads the whole table. */
  readonly tenantIndex?: MappedIndex;
  /** The attribute by which DynamoDB removes items, in seconds since the epoch. Default: none. */
  readonly timeToLive?: string;
}

/** Attributes that the store adds to the table's own. Code that does not know them ignores them. */
export const OWN = {
  /** JSON: fields of the row that the table has no attribute for. */
  fields: "LiftFields",
  /** JSON: the row's state, and the ids of its last writes. */
  state: "LiftState",
  /** On tombstones: ms since the epoch. */
  until: "LiftUntil",
  /** On tombstones: the deleted row as JSON, if it is kept. */
  removed: "LiftRemoved",
} as const;

/** State of a row, as stored. */
export interface StoredState {
  /** Ids of the last writes, so that a repeated write is recognized. */
  readonly writes: readonly string[];
  readonly state: JsonObject;
}

/** Returns the item of a new row. */
export function itemOf(mapping: TableMapping, connection: Connection): Item {
  const { state, ...fields } = connection;
  const item = mapping.toItem(connection);
  const lost = lostFields(fields, mapping.fromItem(item) ?? {});
  return {
    ...item,
    ...(Object.keys(lost).length === 0 ? {} : { [OWN.fields]: { S: JSON.stringify(lost) } }),
    [OWN.state]: { S: JSON.stringify({ writes: [], state } satisfies StoredState) },
  };
}

/** Fields that reading the item would change; `null` for those that it would add. */
function lostFields(fields: object, read: object): JsonObject {
  const { state: _, ...others } = read as Partial<Connection>;
  const wanted = new Map<string, Json>(Object.entries(fields));
  const found = new Map<string, Json>(Object.entries(others));
  const names = [...new Set([...wanted.keys(), ...found.keys()])];
  const lost = names.filter((name) => !isDeepStrictEqual(wanted.get(name), found.get(name)));
  return Object.fromEntries(lost.map((name) => [name, wanted.get(name) ?? null]));
}

/** Reads a row, of this store or of other code. */
export function connectionOf(mapping: TableMapping, item: Item | undefined): Connection | undefined {
  if (item === undefined || item[OWN.until] !== undefined) return undefined;
  const connection = mapping.fromItem(item);
  if (connection === undefined) return undefined;
  const own = item[OWN.fields]?.S;
  const fields = own === undefined ? {} : parse<JsonObject>(connection.id, OWN.fields, own);
  const { state } = storedStateOf(connection.id, item) ?? connection;
  const merged = Object.entries({ ...connection, ...fields, state }).filter(([, value]) => value !== null);
  return Object.fromEntries(merged) as unknown as Connection;
}

export function storedStateOf(id: string, item: Item): StoredState | undefined {
  const text = item[OWN.state]?.S;
  return text === undefined ? undefined : parse<StoredState>(id, OWN.state, text);
}

function parse<Value>(id: string, attribute: string, text: string): Value {
  try {
    return JSON.parse(text) as Value;
  } catch (cause) {
    throw badRow(id, attribute, cause);
  }
}

/** Names the row and the attribute, never the value, which may be secret. */
export function badRow(id: string, attribute: string, cause?: unknown): StoreError {
  const message = `Row ${JSON.stringify(id)}: \`${attribute}\` is missing or malformed; repair the row, or the mapping`;
  return new StoreError("BAD_ROW", message, cause === undefined ? undefined : { cause });
}
