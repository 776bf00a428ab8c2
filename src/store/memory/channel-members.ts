import { randomUUID } from "node:crypto";
import type { ChannelMembers, Member, MemberPage, Presence } from "../contracts/channel-members.ts";
import type { Json } from "../contracts/json.ts";
import { frozenCopy } from "./freeze.ts";
import { Lifetimes } from "./lifetimes.ts";
import { OwnerIndex } from "./owner-index.ts";

/** A fan-out can be given up, or cut short, between two pages. */
export const MEMBERS_PER_PAGE = 500;

interface MemberEntry {
  readonly member: Member;
  /** Later ones are larger, in the whole store and for good: a cursor. */
  readonly number: number;
  /** As `Lifetimes` measures it. */
  readonly end: number;
}

/** A user in a channel: since when, what they show, and by which connections. */
interface User {
  readonly since: number;
  state: Json | undefined;
  readonly connections: Set<string>;
}

interface ChannelMembership {
  /** By connection, in the order of their numbers. */
  readonly seats: Map<string, MemberEntry>;
  readonly users: Map<string, User>;
}

/** Members in this process's memory. Every change is made in one turn of the event loop, so none is half seen. */
export class MemoryMembers implements ChannelMembers {
  readonly #now: () => number;
  readonly #onEmpty: (channel: string) => void;
  readonly #lifetimes: Lifetimes;
  readonly #rooms = new Map<string, ChannelMembership>();
  readonly #channels = new OwnerIndex<string>();
  /** A cursor that another life of the process has left means nothing here. */
  readonly #life = randomUUID();
  #lastNumber = 0;

  /** @param onEmpty called when the last member of a channel has left */
  constructor(now: () => number, onEmpty: (channel: string) => void = () => {}) {
    this.#now = now;
    this.#onEmpty = onEmpty;
    this.#lifetimes = new Lifetimes(now);
  }

  has(channel: string): boolean {
    return this.#rooms.has(channel);
  }

  async add(channel: string, member: Member): Promise<boolean> {
    const room = this.#rooms.get(channel) ?? newRoom();
    this.#rooms.set(channel, room);
    const { connectionId, userId } = member;
    const seat = room.seats.get(connectionId);
    if (seat !== undefined && this.#isLive(seat, this.#now())) return false;
    const here = userId !== undefined && this.#isHere(room, userId);
    room.seats.delete(connectionId);
    const end = this.#lifetimes.endOf(member.expiresAt);
    room.seats.set(connectionId, { member: Object.freeze({ ...member }), number: ++this.#lastNumber, end });
    this.#channels.set(connectionId, channel, channel);
    if (userId === undefined) return false;
    if (here) room.users.get(userId)?.connections.add(connectionId);
    else {
      const connections = new Set([connectionId]);
      room.users.set(userId, { since: member.joinedAt, state: undefined, connections });
    }
    return !here;
  }

  async remove(channel: string, connectionId: string): Promise<Presence | undefined> {
    const room = this.#rooms.get(channel);
    const seat = room?.seats.get(connectionId);
    if (room === undefined || seat === undefined) return undefined;
    room.seats.delete(connectionId);
    this.#channels.delete(connectionId, channel);
    if (room.seats.size === 0) {
      this.#rooms.delete(channel);
      this.#onEmpty(channel);
    }
    const { userId } = seat.member;
    const user = userId === undefined ? undefined : room.users.get(userId);
    if (userId === undefined || !user?.connections.delete(connectionId)) return undefined;
    if (this.#isHere(room, userId)) return undefined;
    // With what is past its time of them: nobody tells twice that they have left.
    room.users.delete(userId);
    return presenceOf(userId, user);
  }

  async *listChannels(connectionId: string): AsyncGenerator<string> {
    yield* this.#channels.list(connectionId);
  }

  async *listMembers(channel: string, now: number, cursor?: string): AsyncGenerator<MemberPage> {
    const last = this.#lastNumber;
    let members: Member[] = [];
    let page: MemberPage | undefined;
    for (const seat of this.#behind(channel, cursor)) {
      const { member, number } = seat;
      // Whoever came meanwhile is not waited for: the pages would have no end where many come.
      if (number > last) break;
      if (!this.#isLive(seat, now)) continue;
      // One page late, since whether it is the last one shows only by another member.
      if (page !== undefined && members.length === 0) yield page;
      members.push(member);
      if (members.length < MEMBERS_PER_PAGE) continue;
      page = { members, cursor: `${this.#life}:${number}` };
      members = [];
    }
    if (members.length > 0) yield { members };
    else if (page !== undefined) yield { members: page.members };
  }

  async count(channel: string, now: number): Promise<number> {
    let count = 0;
    for (const seat of this.#seats(channel)) if (this.#isLive(seat, now)) count++;
    return count;
  }

  async *listPresence(channel: string, now: number, after?: string): AsyncGenerator<Presence> {
    const room = this.#rooms.get(channel);
    if (room === undefined) return;
    const behind = [...room.users].filter(([userId]) => after === undefined || userId > after);
    // By name, for a place that one who has left had among them must still be known.
    for (const [userId, user] of behind.sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (this.#isThere(room, user, now)) yield presenceOf(userId, user);
    }
  }

  async setState(channel: string, userId: string, state: Json | undefined): Promise<boolean> {
    const room = this.#rooms.get(channel);
    const user = room?.users.get(userId);
    if (room === undefined || user === undefined || !this.#isThere(room, user, this.#now())) return false;
    user.state = state === undefined ? undefined : frozenCopy(state);
    return true;
  }

  /** A `Map` may be changed while it is iterated: who is removed is left out, who is added comes at the end. */
  #seats(channel: string): Iterable<MemberEntry> {
    return this.#rooms.get(channel)?.seats.values() ?? [];
  }

  *#behind(channel: string, cursor: string | undefined): Generator<MemberEntry> {
    const [life, number] = cursor?.split(":") ?? [];
    const behind = life === this.#life ? Number(number) : 0;
    for (const seat of this.#seats(channel)) if (seat.number > behind) yield seat;
  }

  #isHere(room: ChannelMembership, userId: string): boolean {
    const user = room.users.get(userId);
    return user !== undefined && this.#isThere(room, user, this.#now());
  }

  #isThere(room: ChannelMembership, user: User, now: number): boolean {
    for (const connection of user.connections) {
      const seat = room.seats.get(connection);
      if (seat !== undefined && this.#isLive(seat, now)) return true;
    }
    return false;
  }

  #isLive({ member, end }: MemberEntry, now: number): boolean {
    return !this.#lifetimes.isOver(member.expiresAt, end, now);
  }
}

function newRoom(): ChannelMembership {
  return { seats: new Map(), users: new Map() };
}

function presenceOf(userId: string, { since, state }: User): Presence {
  return { userId, since, ...(state === undefined ? {} : { state }) };
}
