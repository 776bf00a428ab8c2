import { describe } from "vitest";
import type { ChannelStore } from "../src/store/index.ts";
import { fanoutCases } from "./channel-fanouts.cases.ts";
import { historyCases } from "./channel-history.cases.ts";
import { memberCases } from "./channel-members.cases.ts";
import { readingCases } from "./channel-reading.cases.ts";
import { partCases } from "./message-parts.cases.ts";

export interface ChannelsUnderTest {
  readonly store: ChannelStore;
  /** Moves the store's time on. Where a backend's own clock can't be moved, its `now` option is. */
  advance(ms: number): void;
  /** ms since the epoch, by that time. */
  now(): number;
  /** Members that a page has at most; the tests add some more than two pages. */
  readonly membersPerPage: number;
}

export interface ChannelCasesOptions {
  /** What tells of fan-outs that are not finished, where `unfinished` does not; the cases then hold it to that. */
  readonly unfinishedToldBy?: string;
  /** Runs of each property test. Default 10, for a backend that takes its time. */
  readonly runs?: number;
}

/** Gives an empty store. */
export type MakeChannels = () => Promise<ChannelsUnderTest> | ChannelsUnderTest;

/** Everything that `ChannelStore` promises, for any backend. */
export function channelCases(name: string, make: MakeChannels, options: ChannelCasesOptions = {}): void {
  describe(name, () => {
    describe("history", () => {
      historyCases(make, options);
      readingCases(make, options);
      fanoutCases(make, options);
    });
    describe("members", () => memberCases(make, options));
    describe("parts", () => partCases(make, options));
  });
}

/** Names that a careless key would mix up, or lose. */
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
