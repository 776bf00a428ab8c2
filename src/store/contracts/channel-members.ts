import type { Json } from "./json.ts";
import type { TimeBudget } from "./time-budget.ts";

/** A connection that has subscribed to a channel. */
export interface Member {
  /** The id of the connection. */
  readonly connectionId: string;
  /** The user of the connection. Absent for anonymous connections. */
  readonly userId?: string;
  /** The connection's @connections endpoint. */
  readonly endpoint: string;
  /** ms since the epoch. */
  readonly joinedAt: number;
  /** ms since the epoch: the connection's lifetime limit. The member is not read after that time, removed or not. */
  readonly expiresAt: number;
}

/** A user who is in a channel with at least one connection. */
export interface Presence {
  /** The user. */
  readonly userId: string;
  /** ms since the epoch: when the first of the user's connections joined. */
  readonly since: number;
  /** The user's presence state in the channel. */
  readonly state?: Json;
}

/**
 * Ends the name of a channel that always has few members, such as the watchers of a request. A store that spreads members over
 * partitions keeps these in one, so that it lists them with one read.
 */
export const FEW_MEMBERS = ',"few"]';

/** A page of a channel's members. */
export interface MemberPage {
  /** The members of this page. */
  readonly members: readonly Member[];
  /** Pass it to `listMembers` to continue after this page. Absent on the last page. */
  readonly cursor?: string;
}

/**
 * Stores the members of channels. Every implementation guarantees:
 *
 * - Every call may be repeated; the second one changes nothing.
 * - `listMembers` sees every member whose `add` resolved before the call. So a message that is stored after a connection
 *   subscribed is sent to it.
 * - Exactly one of several concurrent `add`s reports that a user joined, and exactly one `remove` that they left. So
 *   presence has one event for each, even if the user has many tabs.
 */
export interface ChannelMembers {
  /** @returns whether the user was absent before; always `false` for a member without a user */
  add(channel: string, member: Member, budget?: TimeBudget): Promise<boolean>;

  /** @returns the user, if this was their last connection in the channel */
  remove(channel: string, connectionId: string, budget?: TimeBudget): Promise<Presence | undefined>;

  /** Lists the channels of a connection. */
  listChannels(connectionId: string, budget?: TimeBudget): AsyncIterable<string>;

  /**
   * Lists all members, page by page.
   * @param now ms since the epoch
   * @param cursor of the page to continue after
   */
  listMembers(channel: string, now: number, cursor?: string): AsyncIterable<MemberPage>;

  /**
   * Counts connections.
   * @param now ms since the epoch
   */
  count(channel: string, now: number): Promise<number>;

  /**
   * Lists users, each once, in an order that does not change while users join and leave.
   * @param now ms since the epoch
   * @param after a user, present or not: lists those after them
   */
  listPresence(channel: string, now: number, after?: string): AsyncIterable<Presence>;

  /**
   * Sets a user's presence state; `undefined` removes it.
   * @returns `false`, with nothing written, when the user is absent
   */
  setState(channel: string, userId: string, state: Json | undefined, budget?: TimeBudget): Promise<boolean>;
}
