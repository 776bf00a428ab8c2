import type { Presence } from "../../contracts/channel-members.ts";
import type { Json } from "../../contracts/json.ts";
import type { Item } from "../client/errors.ts";
import { keyText, textOfKey } from "../client/key-text.ts";
import { MEMBER_ATTRIBUTES as NAMES } from "../tables.ts";
import {
  type ConnectionEntry,
  createBadRowError,
  formatConnectionEntry,
  parseConnectionEntry,
} from "./member-items.ts";

/**
 * Number of latest writes that an item remembers. A write recognizes itself after a lost response if at most this
 * many followed.
 */
const REMEMBERED_WRITES = 8;

/** How long a departed user's item stays, in ms. A call whose response was lost may be retried in that time. */
const TOMBSTONE_MS = 20 * 60 * 1000;

/** The `expiresAt` of a connection that left. */
const LEFT_AT = 0;

/** A user in a channel. The user has left if no connection is open. */
export interface PresenceRecord {
  readonly userId: string;
  readonly since: number;
  readonly state?: Json;
  /** Entries by connection id. */
  readonly connections: ReadonlyMap<string, ConnectionEntry>;
  /** Ids of the latest writes, newest first. */
  readonly writeIds: readonly string[];
}

export interface JoiningConnection {
  readonly userId: string;
  readonly connectionId: string;
  readonly joinedAt: number;
  readonly expiresAt: number;
  readonly joinId: string;
}

/** A change of a user's record and its result. Without `next` the record does not change. */
export interface PresenceChange<Result> {
  readonly next?: PresenceRecord;
  readonly result: Result;
}

/** @returns as `result` whether the user was absent before */
export function addConnection(
  current: PresenceRecord | undefined,
  joining: JoiningConnection,
): PresenceChange<boolean> {
  const { userId, connectionId, joinedAt, expiresAt, joinId } = joining;
  const openEntries = openConnections(current, joinedAt);
  const isFirst = openEntries.size === 0;
  // Also if the connection is already present: a concurrent `remove` then deletes that entry, and not this one.
  const connections = new Map(openEntries).set(connectionId, { expiresAt, joinId });
  const writeIds = current?.writeIds ?? [];
  if (isFirst || current === undefined) {
    return { next: { userId, since: joinedAt, connections, writeIds }, result: true };
  }
  return { next: { ...current, connections }, result: false };
}

/**
 * @param joinId id of the `add` to undo; entries of a later one stay
 * @returns as `result` the user's presence, if this was the last connection
 */
export function removeConnection(
  current: PresenceRecord | undefined,
  connectionId: string,
  joinId: string,
  now: number,
): PresenceChange<Presence | undefined> {
  const entry = current?.connections.get(connectionId);
  if (current === undefined || entry?.joinId !== joinId || entry.expiresAt === LEFT_AT)
    return { result: undefined };
  const openEntries = new Map(openConnections(current, now));
  openEntries.delete(connectionId);
  // The entry stays until another `add` or `remove`. It shows that the `add` has no write to come, so a `remove` that
  // fails here does not leave items that look like those of an unfinished `add`.
  const connections = new Map(openEntries).set(connectionId, { expiresAt: LEFT_AT, joinId });
  return {
    next: { ...current, connections },
    result: openEntries.size === 0 ? toPresence(current) : undefined,
  };
}

/** @returns as `result` whether the user is present */
export function replaceState(
  current: PresenceRecord | undefined,
  state: Json | undefined,
  now: number,
): PresenceChange<boolean> {
  if (current === undefined || !isPresent(current, now)) return { result: false };
  const { state: _, ...stateless } = current;
  return { next: state === undefined ? stateless : { ...stateless, state }, result: true };
}

export function isPresent(record: PresenceRecord, now: number): boolean {
  return openConnections(record, now).size > 0;
}

export function toPresence({ userId, since, state }: PresenceRecord): Presence {
  return { userId, since, ...(state === undefined ? {} : { state }) };
}

/**
 * Returns the attributes of a user's item, without its key.
 * @param writeId id of this write
 */
export function toPresenceAttributes(record: PresenceRecord, writeId: string, now: number): Item {
  const { userId, since, state, connections, writeIds } = record;
  const entries = [...connections].map(
    ([id, { expiresAt, joinId }]) => [keyText(id), { N: formatConnectionEntry(expiresAt, joinId) }] as const,
  );
  const endsAt = Math.max(now + TOMBSTONE_MS, ...[...connections.values()].map(({ expiresAt }) => expiresAt));
  return {
    [NAMES.userId]: { S: keyText(userId) },
    [NAMES.since]: { N: String(since) },
    ...(state === undefined ? {} : { [NAMES.state]: { S: JSON.stringify(state) } }),
    [NAMES.connections]: { M: Object.fromEntries(entries) },
    [NAMES.updates]: { S: [writeId, ...writeIds].slice(0, REMEMBERED_WRITES).join(" ") },
    [NAMES.expiresAt]: { N: String(Math.ceil(endsAt / 1_000)) },
  };
}

/** @throws {StoreError} BAD_ROW */
export function parsePresenceRecord(item: Item): PresenceRecord {
  try {
    const state = item[NAMES.state]?.S;
    const entries = Object.entries(item[NAMES.connections]?.M ?? throwMissingAttribute());
    return {
      userId: textOfKey(item[NAMES.userId]?.S ?? throwMissingAttribute()),
      since: Number(item[NAMES.since]?.N ?? throwMissingAttribute()),
      ...(state === undefined ? {} : { state: JSON.parse(state) as Json }),
      connections: new Map(
        entries.map(([id, entry]) => [
          textOfKey(id),
          parseConnectionEntry(entry.N ?? throwMissingAttribute()),
        ]),
      ),
      writeIds: readWriteIds(item).split(" "),
    };
  } catch (cause) {
    throw createBadRowError(item, cause);
  }
}

/** Returns the ids of the latest writes as stored. Every write changes them. */
export function readWriteIds(item: Item): string {
  return item[NAMES.updates]?.S ?? throwMissingAttribute();
}

function throwMissingAttribute(): never {
  throw new TypeError("Missing attribute");
}

function openConnections(
  record: PresenceRecord | undefined,
  now: number,
): ReadonlyMap<string, ConnectionEntry> {
  return new Map([...(record?.connections ?? [])].filter(([, { expiresAt }]) => expiresAt > now));
}
