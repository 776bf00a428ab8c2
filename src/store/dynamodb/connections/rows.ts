import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { Connection } from "../../contracts/connections.ts";
import { StoreError } from "../../contracts/errors.ts";
import type { Json, JsonObject } from "../../contracts/json.ts";
import type { Item } from "../client/errors.ts";
import { boundedKey, MAX_PARTITION_KEY_BYTES } from "../client/key-text.ts";
import { CONNECTION_ATTRIBUTES } from "../tables.ts";

/** What an item is when it is no connection. */
export type Kind = "tombstone" | "shard";

export function keyOf(id: string): Item {
  return { [CONNECTION_ATTRIBUTES.id]: { S: id } };
}

/** @param removableAt ms since the epoch: when DynamoDB may remove the row */
export function itemOf(connection: Connection, removableAt: number): Item {
  const { userId, tenantId, userAgent, state } = connection;
  return {
    ...keyOf(connection.id),
    // An index takes no empty key: "" is nobody, and no tenant.
    ...(userId ? indexedId(CONNECTION_ATTRIBUTES.userId, CONNECTION_ATTRIBUTES.longUserId, userId) : {}),
    ...(tenantId
      ? indexedId(CONNECTION_ATTRIBUTES.tenantId, CONNECTION_ATTRIBUTES.longTenantId, tenantId)
      : {}),
    [CONNECTION_ATTRIBUTES.metadata]: jsonText(connection.metadata),
    [CONNECTION_ATTRIBUTES.state]: {
      M: Object.fromEntries(Object.entries(state).map(([k, v]) => [nameOf(k), jsonText(v)])),
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

/** A user or tenant as an index's partition key. */
export function indexKey(id: string): string {
  return boundedKey(id, MAX_PARTITION_KEY_BYTES);
}

function indexedId(name: string, longName: string, id: string): Item {
  const key = indexKey(id);
  return { [name]: { S: key }, ...(key === id ? {} : { [longName]: { S: id } }) };
}

/**
 * What stands in a deleted row's place until `liveUntil`, in ms since the epoch.
 * @param row what it keeps
 */
export function tombstoneOf(id: string, liveUntil: number, row?: Item): Item {
  return {
    ...keyOf(id),
    ...(row === undefined ? {} : { [CONNECTION_ATTRIBUTES.removed]: { M: row } }),
    [CONNECTION_ATTRIBUTES.kind]: { S: "tombstone" satisfies Kind },
    [CONNECTION_ATTRIBUTES.liveUntil]: { N: String(liveUntil) },
    [CONNECTION_ATTRIBUTES.expiresAt]: { N: String(Math.ceil(liveUntil / 1000)) },
  };
}

/**
 * The connection that an item is; `undefined` when it is none any more, or never was one.
 * @throws {StoreError} BAD_ROW
 */
export function liveConnection(item: Item | undefined, now: number): Connection | undefined {
  if (
    item === undefined ||
    !(CONNECTION_ATTRIBUTES.id in item) ||
    item[CONNECTION_ATTRIBUTES.kind] !== undefined
  )
    return undefined;
  const connection = connectionOf(item);
  return connection.expiresAt > now ? connection : undefined;
}

/** The row that a tombstone keeps. */
export function removedRow(item: Item | undefined): Item | undefined {
  return item?.[CONNECTION_ATTRIBUTES.removed]?.M;
}

function connectionOf(item: Item): Connection {
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

/** Reads a row's attributes, and says which one is bad, and in which row. */
class RowReader {
  readonly #item: Item;

  constructor(item: Item) {
    this.#item = item;
  }

  text(name: string): string {
    return this.optionalText(name) ?? this.#bad(name);
  }

  optionalText(name: string): string | undefined {
    const value = this.#item[name];
    return value === undefined ? undefined : (value.S ?? this.#bad(name));
  }

  number(name: string): number {
    const number = Number(this.#item[name]?.N ?? Number.NaN);
    return Number.isFinite(number) ? number : this.#bad(name);
  }

  object(name: string): JsonObject {
    const value = this.#parse(name, this.#item[name]);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as JsonObject)
      : this.#bad(name);
  }

  /** `fromEntries` defines own properties, so `__proto__` is a key like any other. */
  state(): JsonObject {
    const keys = this.#item[CONNECTION_ATTRIBUTES.state]?.M ?? this.#bad(CONNECTION_ATTRIBUTES.state);
    const entries = Object.entries(keys).map(([name, value]): [string, Json] => {
      return [
        this.#attempt(name, () => stateKeyOf(name)),
        this.#parse(`${CONNECTION_ATTRIBUTES.state}.${name}`, value),
      ];
    });
    return Object.fromEntries(entries);
  }

  #parse(name: string, value: AttributeValue | undefined): Json {
    return this.#attempt(name, () => JSON.parse(value?.S ?? this.#bad(name)) as Json);
  }

  #attempt<Value>(name: string, read: () => Value): Value {
    try {
      return read();
    } catch (cause) {
      throw cause instanceof StoreError ? cause : this.#bad(name, cause);
    }
  }

  /** Names the row and the attribute, never the value: that is the application's, and this goes to a log. */
  #bad(name: string, cause?: unknown): never {
    const id = this.#item[CONNECTION_ATTRIBUTES.id]?.S ?? "without an id";
    const message = `Row ${JSON.stringify(id)}: its ${name} is missing or malformed`;
    throw new StoreError("BAD_ROW", message, cause === undefined ? undefined : { cause });
  }
}

/**
 * Values are stored as JSON text: DynamoDB's own types have no number past 1e125, no empty name, 32 levels, and
 * no text that is not well-formed Unicode.
 */
export function jsonText(value: Json): AttributeValue.SMember {
  return { S: JSON.stringify(value) };
}

/**
 * A key of the state as an attribute's name. Quoted is what can't be one (or gets lost on its way: the SDK
 * assigns names to plain objects), and what looks quoted.
 */
export function nameOf(key: string): string {
  const quoted = key === "" || key === "__proto__" || key.startsWith('"') || /\p{Surrogate}/u.test(key);
  return quoted ? JSON.stringify(key) : key;
}

function stateKeyOf(name: string): string {
  return name.startsWith('"') ? (JSON.parse(name) as string) : name;
}
