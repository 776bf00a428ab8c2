import type { Presence } from "../../contracts/channel-members.ts";
import type { Json } from "../../contracts/json.ts";
import type { Item } from "../client/errors.ts";
import { keyText, textOfKey } from "../client/key-text.ts";
import { MEMBER_ATTRIBUTES as NAMES } from "../tables.ts";
import { bad, type End, endOf, endText } from "./member-items.ts";

/** How many of its last writes an item remembers: as many can come between a write and its lost answer. */
const REMEMBERED_WRITES = 8;

/** What stays of a user who has left is there for as long as a lost answer may be asked for again. */
const TOMBSTONE_MS = 20 * 60 * 1000;

/** The end of a connection that has left. */
const LEFT = 0;

/** A user in a channel. Without open connections: one who has left. */
export interface PresenceRecord {
  readonly userId: string;
  readonly since: number;
  readonly state?: Json;
  /** By connection. */
  readonly connections: ReadonlyMap<string, End>;
  /** The marks of the last writes, the newest first. */
  readonly writeIds: readonly string[];
}

export interface Joining {
  readonly userId: string;
  readonly connectionId: string;
  readonly joinedAt: number;
  readonly expiresAt: number;
  readonly joinId: string;
}

/** What becomes of a user, and what is told of it; without `next` nothing does. */
export interface Change<Told> {
  readonly next?: PresenceRecord;
  readonly told: Told;
}

/** @returns `told`: whether the user was not there before */
export function joined(current: PresenceRecord | undefined, joining: Joining): Change<boolean> {
  const { userId, connectionId, joinedAt, expiresAt, joinId } = joining;
  const open = openAt(current, joinedAt);
  const isFirst = open.size === 0;
  // Also where it is there already: a remove that is under way takes that one out, not this.
  const connections = new Map(open).set(connectionId, { expiresAt, joinId });
  const writeIds = current?.writeIds ?? [];
  if (isFirst || current === undefined) {
    return { next: { userId, since: joinedAt, connections, writeIds }, told: true };
  }
  return { next: { ...current, connections }, told: false };
}

/**
 * @param joinId of the `add` that is undone: what a later one has written stays
 * @returns `told`: the user, if it was their last connection
 */
export function left(
  current: PresenceRecord | undefined,
  connectionId: string,
  joinId: string,
  now: number,
): Change<Presence | undefined> {
  const end = current?.connections.get(connectionId);
  if (current === undefined || end?.joinId !== joinId || end.expiresAt === LEFT) return { told: undefined };
  const open = new Map(openAt(current, now));
  open.delete(connectionId);
  // The entry stays until the next tab's write, and says that no write of this `add` is still to come: a `remove` that
  // breaks off here leaves items that are not taken for those of an unfinished `add`.
  const connections = new Map(open).set(connectionId, { expiresAt: LEFT, joinId });
  return { next: { ...current, connections }, told: open.size === 0 ? presenceOf(current) : undefined };
}

/** @returns `told`: whether the user is there */
export function shown(
  current: PresenceRecord | undefined,
  state: Json | undefined,
  now: number,
): Change<boolean> {
  if (current === undefined || !isThere(current, now)) return { told: false };
  const { state: _, ...stateless } = current;
  return { next: state === undefined ? stateless : { ...stateless, state }, told: true };
}

export function isThere(attendance: PresenceRecord, now: number): boolean {
  return openAt(attendance, now).size > 0;
}

export function presenceOf({ userId, since, state }: PresenceRecord): Presence {
  return { userId, since, ...(state === undefined ? {} : { state }) };
}

/** The attributes besides its key. @param mark of the write */
export function toPresenceAttributes(attendance: PresenceRecord, mark: string, now: number): Item {
  const { userId, since, state, connections, writeIds } = attendance;
  const ends = [...connections].map(
    ([id, { expiresAt, joinId }]) => [keyText(id), { N: endText(expiresAt, joinId) }] as const,
  );
  const end = Math.max(now + TOMBSTONE_MS, ...[...connections.values()].map(({ expiresAt }) => expiresAt));
  return {
    [NAMES.userId]: { S: keyText(userId) },
    [NAMES.since]: { N: String(since) },
    ...(state === undefined ? {} : { [NAMES.state]: { S: JSON.stringify(state) } }),
    [NAMES.connections]: { M: Object.fromEntries(ends) },
    [NAMES.updates]: { S: [mark, ...writeIds].slice(0, REMEMBERED_WRITES).join(" ") },
    [NAMES.expiresAt]: { N: String(Math.ceil(end / 1_000)) },
  };
}

/** @throws {StoreError} BAD_ROW */
export function parsePresenceRecord(item: Item): PresenceRecord {
  try {
    const state = item[NAMES.state]?.S;
    const ends = Object.entries(item[NAMES.connections]?.M ?? failing());
    return {
      userId: textOfKey(item[NAMES.userId]?.S ?? failing()),
      since: Number(item[NAMES.since]?.N ?? failing()),
      ...(state === undefined ? {} : { state: JSON.parse(state) as Json }),
      connections: new Map(ends.map(([id, end]) => [textOfKey(id), endOf(end.N ?? failing())])),
      writeIds: readWriteIds(item).split(" "),
    };
  } catch (cause) {
    throw bad(item, cause);
  }
}

/** What every write changes: the marks as they are stored. */
export function readWriteIds(item: Item): string {
  return item[NAMES.updates]?.S ?? failing();
}

function failing(): never {
  throw new TypeError("An attribute is missing");
}

function openAt(attendance: PresenceRecord | undefined, now: number): ReadonlyMap<string, End> {
  return new Map([...(attendance?.connections ?? [])].filter(([, { expiresAt }]) => expiresAt > now));
}
