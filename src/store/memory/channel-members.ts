import { randomUUID } from "node:crypto";
import type { ChannelMembers, Member, MemberPage, Presence } from "../contracts/channel-members.ts";
import type { Json } from "../contracts/json.ts";
import { frozenCopy } from "./freeze.ts";
import { Lifetimes } from "./lifetimes.ts";
import { OwnerIndex } from "./owner-index.ts";

/** A fan-out can be aborted between two pages. */
export const MEMBERS_PER_PAGE = 500;

interface MemberEntry {
  readonly member: Member;
  /** Grows with each `add` in the whole store, so it serves as a cursor. */
  readonly number: number;
  /** Elapsed ms, as of `Lifetimes`. */
  readonly end: number;
}

/** A user in a channel, with the connections that they are there with. */
interface User {
  readonly since: number;
  state: Json | undefined;
  readonly connections: Set<string>;
}

interface ChannelMembership {
  /** By connection id, in the order of their numbers. */
  readonly entries: Map<string, MemberEntry>;
  readonly users: Map<string, User>;
}

/** Members in this process's memory. Each change is made in one turn of the event loop, so it is atomic. */
export class MemoryMembers implements ChannelMembers {
  readonly #now: () => number;
  readonly #onEmpty: (channel: string) => void;
  readonly #lifetimes: Lifetimes;
  readonly #memberships = new Map<string, ChannelMembership>();
  readonly #channels = new OwnerIndex<string>();
  /** Part of each cursor, so that a cursor of an earlier process is not taken for one of this store. */
  readonly #storeId = randomUUID();
  #lastNumber = 0;

  /** @param onEmpty called when the last member has left a channel */
  constructor(now: () => number, onEmpty: (channel: string) => void = () => {}) {
    this.#now = now;
    this.#onEmpty = onEmpty;
    this.#lifetimes = new Lifetimes(now);
  }

  has(channel: string): boolean {
    return this.#memberships.has(channel);
  }

  async add(channel: string, member: Member): Promise<boolean> {
    const membership = this.#memberships.get(channel) ?? createMembership();
    this.#memberships.set(channel, membership);
    const { connectionId, userId } = member;
    const entry = membership.entries.get(connectionId);
    if (entry !== undefined && this.#isLive(entry, this.#now())) return false;
    const wasPresent = userId !== undefined && this.#isPresentNow(membership, userId);
    membership.entries.delete(connectionId);
    const end = this.#lifetimes.elapsedEnd(member.expiresAt);
    membership.entries.set(connectionId, {
      member: Object.freeze({ ...member }),
      number: ++this.#lastNumber,
      end,
    });
    this.#channels.set(connectionId, channel, channel);
    if (userId === undefined) return false;
    if (wasPresent) membership.users.get(userId)?.connections.add(connectionId);
    else {
      const connections = new Set([connectionId]);
      membership.users.set(userId, { since: member.joinedAt, state: undefined, connections });
    }
    return !wasPresent;
  }

  async remove(channel: string, connectionId: string): Promise<Presence | undefined> {
    const membership = this.#memberships.get(channel);
    const entry = membership?.entries.get(connectionId);
    if (membership === undefined || entry === undefined) return undefined;
    membership.entries.delete(connectionId);
    this.#channels.delete(connectionId, channel);
    if (membership.entries.size === 0) {
      this.#memberships.delete(channel);
      this.#onEmpty(channel);
    }
    const { userId } = entry.member;
    const user = userId === undefined ? undefined : membership.users.get(userId);
    if (userId === undefined || !user?.connections.delete(connectionId)) return undefined;
    if (this.#isPresentNow(membership, userId)) return undefined;
    // Also removes the user's expired connections, so that the leave is reported once.
    membership.users.delete(userId);
    return toPresence(userId, user);
  }

  async *listChannels(connectionId: string): AsyncGenerator<string> {
    yield* this.#channels.list(connectionId);
  }

  async *listMembers(channel: string, now: number, cursor?: string): AsyncGenerator<MemberPage> {
    const last = this.#lastNumber;
    let members: Member[] = [];
    let page: MemberPage | undefined;
    for (const entry of this.#entriesAfter(channel, cursor)) {
      const { member, number } = entry;
      // Skips members who joined meanwhile; otherwise the pages might never end.
      if (number > last) break;
      if (!this.#isLive(entry, now)) continue;
      // Each page waits for the next live member, because only then it is known that it is not the last page.
      if (page !== undefined && members.length === 0) yield page;
      members.push(member);
      if (members.length < MEMBERS_PER_PAGE) continue;
      page = { members, cursor: `${this.#storeId}:${number}` };
      members = [];
    }
    if (members.length > 0) yield { members };
    else if (page !== undefined) yield { members: page.members };
  }

  async count(channel: string, now: number): Promise<number> {
    let count = 0;
    for (const entry of this.#entries(channel)) if (this.#isLive(entry, now)) count++;
    return count;
  }

  async *listPresence(channel: string, now: number, after?: string): AsyncGenerator<Presence> {
    const membership = this.#memberships.get(channel);
    if (membership === undefined) return;
    const candidates = [...membership.users].filter(([userId]) => after === undefined || userId > after);
    // Sorted by name, so that the position of a user who has left is still defined.
    for (const [userId, user] of candidates.sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (this.#isPresent(membership, user, now)) yield toPresence(userId, user);
    }
  }

  async setState(channel: string, userId: string, state: Json | undefined): Promise<boolean> {
    const membership = this.#memberships.get(channel);
    const user = membership?.users.get(userId);
    if (membership === undefined || user === undefined || !this.#isPresent(membership, user, this.#now()))
      return false;
    user.state = state === undefined ? undefined : frozenCopy(state);
    return true;
  }

  /** A `Map` may be changed during an iteration: removed entries are skipped, added ones come last. */
  #entries(channel: string): Iterable<MemberEntry> {
    return this.#memberships.get(channel)?.entries.values() ?? [];
  }

  *#entriesAfter(channel: string, cursor: string | undefined): Generator<MemberEntry> {
    const [storeId, number] = cursor?.split(":") ?? [];
    const position = storeId === this.#storeId ? Number(number) : 0;
    for (const entry of this.#entries(channel)) if (entry.number > position) yield entry;
  }

  #isPresentNow(membership: ChannelMembership, userId: string): boolean {
    const user = membership.users.get(userId);
    return user !== undefined && this.#isPresent(membership, user, this.#now());
  }

  #isPresent(membership: ChannelMembership, user: User, now: number): boolean {
    for (const connection of user.connections) {
      const entry = membership.entries.get(connection);
      if (entry !== undefined && this.#isLive(entry, now)) return true;
    }
    return false;
  }

  #isLive({ member, end }: MemberEntry, now: number): boolean {
    return !this.#lifetimes.isExpired(member.expiresAt, end, now);
  }
}

function createMembership(): ChannelMembership {
  return { entries: new Map(), users: new Map() };
}

function toPresence(userId: string, { since, state }: User): Presence {
  return { userId, since, ...(state === undefined ? {} : { state }) };
}
