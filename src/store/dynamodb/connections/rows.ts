import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { Connection } from "../../contracts/connections.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Json, JsonObject } from "../../contracts/json.ts";
import type { Item } from "../client/errors.ts";
import { boundedKey, MAX_PARTITION_KEY_BYTES } from "../client/key-text.ts";
import { CONNECTION_ATTRIBUTES } from "../tables.ts";

/** Kinds of items other than connections. */
export type ItemKind = "tombstone" | "shard";

export function connectionKey(id: string): Item {
  return { [CONNECTION_ATTRIBUTES.id]: { S: id } };
}

/**
 * Builds a connection's row.
 * @param removableAt when DynamoDB may remove the row, in ms since the epoch
 */
export function connectionItem(connection: Connection, removableAt: number): Item {
  const { userId, tenantId, userAgent, state } = connection;
  return {
    ...connectionKey(connection.id),
    // Indexes reject empty keys: "" means no user and no tenant.
    ...(userId ? indexedId(CONNECTION_ATTRIBUTES.userId, CONNECTION_ATTRIBUTES.longUserId, userId) : {}),
    ...(tenantId
      ? indexedId(CONNECTION_ATTRIBUTES.tenantId, CONNECTION_ATTRIBUTES.longTenantId, tenantId)
      : {}),
    [CONNECTION_ATTRIBUTES.metadata]: toJsonAttribute(connection.metadata),
    [CONNECTION_ATTRIBUTES.state]: {
      M: Object.fromEntries(
        Object.entries(state).map(([k, v]) => [stateAttributeName(k), toJsonAttribute(v)]),
      ),
    },
    [CONNECTION_ATTRIBUTES.updates]: { M: {} },
    [CONNECTION_ATTRIBUTES.sourceIp]: { S: connection.sourceIp },
    ...(userAgent === undefined ? {} : { [CONNECTION_ATTRIBUTES.userAgent]: { S: userAgent } }),
    [CONNECTION_ATTRIBUTES.endpoint]: { S: connection.endpoint },
    [CONNECTION_ATTRIBUTES.connectedAt]: { N: String(connection.connectedAt) },
    [CONNECTION_ATTRIBUTES.liveUntil]: { N: String(connection.expiresAt) },
    [CONNECTION_ATTRIBUTES.expiresAt]: { N: String(Math.ceil(removableAt / 1000)) },
  };
}

/** Returns a user's or tenant's id as an index's partition key. */
export function indexKey(id: string): string {
  return boundedKey(id, MAX_PARTITION_KEY_BYTES);
}

function indexedId(name: string, longName: string, id: string): Item {
  const key = indexKey(id);
  return { [name]: { S: key }, ...(key === id ? {} : { [longName]: { S: id } }) };
}

/**
 * Builds the tombstone that replaces a deleted row.
 * @param liveUntil when it expires, in ms since the epoch
 * @param row the deleted row, to keep it readable
 */
export function tombstoneItem(id: string, liveUntil: number, row?: Item): Item {
  return {
    ...connectionKey(id),
    ...(row === undefined ? {} : { [CONNECTION_ATTRIBUTES.removed]: { M: row } }),
    [CONNECTION_ATTRIBUTES.kind]: { S: "tombstone" satisfies ItemKind },
    [CONNECTION_ATTRIBUTES.liveUntil]: { N: String(liveUntil) },
    [CONNECTION_ATTRIBUTES.expiresAt]: { N: String(Math.ceil(liveUntil / 1000)) },
  };
}

/**
 * Parses a live connection. Returns `undefined` if the item is missing, expired, or of another kind.
 * @throws {StoreError} BAD_ROW
 */
export function parseLiveConnection(item: Item | undefined, now: number): Connection | undefined {
  if (
    item === undefined ||
    !(CONNECTION_ATTRIBUTES.id in item) ||
    item[CONNECTION_ATTRIBUTES.kind] !== undefined
  )
    return undefined;
  const connection = parseConnection(item);
  return connection.expiresAt > now ? connection : undefined;
}

/** Returns the deleted row that a tombstone keeps. */
export function getRemovedRow(item: Item | undefined): Item | undefined {
  return item?.[CONNECTION_ATTRIBUTES.removed]?.M;
}

function parseConnection(item: Item): Connection {
  const read = new RowReader(item);
  const userId =
    read.optionalText(CONNECTION_ATTRIBUTES.longUserId) ?? read.optionalText(CONNECTION_ATTRIBUTES.userId);
  const tenantId =
    read.optionalText(CONNECTION_ATTRIBUTES.longTenantId) ??
    read.optionalText(CONNECTION_ATTRIBUTES.tenantId);
  const userAgent = read.optionalText(CONNECTION_ATTRIBUTES.userAgent);
  return {
    id: read.text(CONNECTION_ATTRIBUTES.id),
    ...(userId === undefined ? {} : { userId }),
    ...(tenantId === undefined ? {} : { tenantId }),
    metadata: read.object(CONNECTION_ATTRIBUTES.metadata),
    state: read.state(),
    sourceIp: read.text(CONNECTION_ATTRIBUTES.sourceIp),
    ...(userAgent === undefined ? {} : { userAgent }),
    endpoint: read.text(CONNECTION_ATTRIBUTES.endpoint),
    connectedAt: read.number(CONNECTION_ATTRIBUTES.connectedAt),
    expiresAt: read.number(CONNECTION_ATTRIBUTES.liveUntil),
  };
}

/** Reads a row's attributes. Errors name the row and the malformed attribute. */
class RowReader {
  readonly #item: Item;

  constructor(item: Item) {
    this.#item = item;
  }

  text(name: string): string {
    return this.optionalText(name) ?? this.#throwBadRow(name);
  }

  optionalText(name: string): string | undefined {
    const value = this.#item[name];
    return value === undefined ? undefined : (value.S ?? this.#throwBadRow(name));
  }

  number(name: string): number {
    const number = Number(this.#item[name]?.N ?? Number.NaN);
    return Number.isFinite(number) ? number : this.#throwBadRow(name);
  }

  object(name: string): JsonObject {
    const value = this.#parse(name, this.#item[name]);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as JsonObject)
      : this.#throwBadRow(name);
  }

  /** `fromEntries` defines own properties, so `__proto__` is a normal key. */
  state(): JsonObject {
    const keys = this.#item[CONNECTION_ATTRIBUTES.state]?.M ?? this.#throwBadRow(CONNECTION_ATTRIBUTES.state);
    const entries = Object.entries(keys).map(([name, value]): [string, Json] => {
      return [
        this.#attempt(name, () => stateKeyFromAttribute(name)),
        this.#parse(`${CONNECTION_ATTRIBUTES.state}.${name}`, value),
      ];
    });
    return Object.fromEntries(entries);
  }

  #parse(name: string, value: AttributeValue | undefined): Json {
    return this.#attempt(name, () => JSON.parse(value?.S ?? this.#throwBadRow(name)) as Json);
  }

  #attempt<Value>(name: string, read: () => Value): Value {
    try {
      return read();
    } catch (cause) {
      throw cause instanceof StoreError ? cause : this.#throwBadRow(name, cause);
    }
  }

  /**
   * Names the row and the attribute, never the value: it belongs to the application, and the message goes to logs.
   */
  #throwBadRow(name: string, cause?: unknown): never {
    const id = this.#item[CONNECTION_ATTRIBUTES.id]?.S ?? "(no id)";
    const message = `Row ${JSON.stringify(id)}: \`${name}\` is missing or malformed; delete or repair the row`;
    throw new StoreError("BAD_ROW", message, cause === undefined ? undefined : { cause });
  }
}

/**
 * Stores values as JSON text. DynamoDB's own types cannot hold numbers beyond 1e125, empty names, more than 32
 * levels, or text that is not well-formed Unicode.
 */
export function toJsonAttribute(value: Json): AttributeValue.SMember {
  return { S: JSON.stringify(value) };
}

/**
 * Encodes a state key as an attribute name. It quotes keys that cannot be names, keys that the SDK loses by assigning
 * to plain objects, and keys that already look quoted.
 */
export function stateAttributeName(key: string): string {
  const quoted = key === "" || key === "__proto__" || key.startsWith('"') || /\p{Surrogate}/u.test(key);
  return quoted ? JSON.stringify(key) : key;
}

function stateKeyFromAttribute(name: string): string {
  return name.startsWith('"') ? (JSON.parse(name) as string) : name;
}
