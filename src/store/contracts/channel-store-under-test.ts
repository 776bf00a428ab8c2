import type { HistoryPage, HistoryQuery, NewMessage, PendingFanOut, Retention } from "./channel-history.ts";
import type { Member, Presence } from "./channel-members.ts";
import type { ChannelStore } from "./channels.ts";

/** A channel store for one test, with a clock that the test moves. */
export interface ChannelStoreUnderTest {
  /** Empty at first. */
  readonly store: ChannelStore;
  /**
   * Moves the store's clock forward. If the backend's own clock cannot be moved, it moves the one of the `now`
   * option.
   */
  advance(ms: number): void;
  /** Returns the store's time, in ms since the epoch. */
  now(): number;
  /** Maximum number of members of a page. The cases add slightly more than two pages. */
  readonly membersPerPage: number;
}

/** Options of `channelStoreCases`. */
export interface ChannelStoreCasesOptions {
  /**
   * Names what reports pending fan-outs where `listPendingFanOuts` does not, such as "the table's stream". The cases then
   * require that `listPendingFanOuts` is empty. Default: `listPendingFanOuts` reports them.
   */
  readonly pendingFanOutsReportedBy?: string;
}

/** Creates an empty store. */
export type CreateChannelStore = () => Promise<ChannelStoreUnderTest> | ChannelStoreUnderTest;

export const MINUTE = 60_000;
export const RETENTION: Retention = { size: 100, ageMs: 5 * MINUTE };

/** Names that a careless encoding of keys would confuse or lose. */
export const AWKWARD_NAMES: readonly string[] = [
  "a",
  "a:b",
  "a:b:c",
  'a","b',
  '["a","b"]',
  "a#b",
  "a/b",
  "a|b",
  "a%3Ab",
  "a\u0000b",
  "a\u0000",
  "\u0000",
  "'; DROP TABLE messages; --",
  "__proto__",
  "constructor",
  "A",
  "é",
  "e\u0301",
  "\u{1F600}",
  "\uD83D",
  "\uFFFD",
  " a",
  "a ",
  "x".repeat(1_000),
  `${"x".repeat(999)}y`,
  "\u{1F600}".repeat(250),
];

/** Returns calls of a history with the defaults that most tests share. @param underTest of the running test */
export function historyDriver(underTest: () => ChannelStoreUnderTest) {
  const history = () => underTest().store.history;
  const message = (id: string, overrides: Partial<NewMessage> = {}): NewMessage => ({
    id,
    data: { id },
    at: underTest().now(),
    ...overrides,
  });
  const append = (channel: string, id: string, overrides: Partial<NewMessage> = {}, retention = RETENTION) =>
    history().append(channel, message(id, overrides), retention);
  const read = (channel: string, query: Partial<HistoryQuery> = {}): Promise<HistoryPage> =>
    history().read(channel, { limit: 100, retention: RETENTION, now: underTest().now(), ...query });
  const fill = async (channel: string, length: number, retention = RETENTION): Promise<void> => {
    for (let n = 1; n <= length; n++) await append(channel, `m${n}`, {}, retention);
  };
  const pendingFanOuts = async (before = underTest().now() + 1): Promise<PendingFanOut[]> => {
    const found: PendingFanOut[] = [];
    for await (const each of history().listPendingFanOuts(before)) found.push(each);
    return found.sort((a, b) => a.message.offset - b.message.offset);
  };
  return { message, append, read, fill, pendingFanOuts };
}

/** Returns calls of a store's members with the defaults that most tests share. @param underTest of the running test */
export function membersDriver(underTest: () => ChannelStoreUnderTest) {
  const members = () => underTest().store.members;
  const member = (connectionId: string, userId?: string, overrides: Partial<Member> = {}): Member => ({
    connectionId,
    ...(userId === undefined ? {} : { userId }),
    endpoint: "https://api.example.com/test",
    joinedAt: underTest().now(),
    expiresAt: underTest().now() + 130 * MINUTE,
    ...overrides,
  });
  const add = (channel: string, connectionId: string, userId?: string, overrides: Partial<Member> = {}) =>
    members().add(channel, member(connectionId, userId, overrides));
  const everyone = async (channel: string): Promise<Member[]> => {
    const found: Member[] = [];
    for await (const page of members().listMembers(channel, underTest().now())) found.push(...page.members);
    return found;
  };
  const connections = async (channel: string) =>
    (await everyone(channel)).map(({ connectionId }) => connectionId).sort();
  const present = async (channel: string): Promise<Presence[]> => {
    const found: Presence[] = [];
    for await (const each of members().listPresence(channel, underTest().now())) found.push(each);
    return found.sort((a, b) => (a.userId < b.userId ? -1 : 1));
  };
  const users = async (channel: string) => (await present(channel)).map(({ userId }) => userId);
  return { member, add, everyone, connections, present, users };
}

export function ids(page: HistoryPage): string[] {
  return page.messages.map(({ id }) => id);
}

export function offsets(page: HistoryPage): number[] {
  return page.messages.map(({ offset }) => offset);
}
