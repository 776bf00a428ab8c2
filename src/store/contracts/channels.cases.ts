import { fanOutCases } from "./channel-fan-outs.cases.ts";
import { historyCases } from "./channel-history.cases.ts";
import { membersCases } from "./channel-members.cases.ts";
import { historyReadingCases } from "./channel-reading.cases.ts";
import type { ChannelStoreCasesOptions, CreateChannelStore } from "./channel-store-under-test.ts";
import { messageChunksCases } from "./message-chunks.cases.ts";
import type { TestRunner } from "./test-runner.ts";

/**
 * Defines a test for every guarantee of `ChannelStore`.
 * @param runner of `node:test`, vitest or another test runner
 * @param title of the group of tests
 * @param create creates an empty store for each test
 * @example
 * channelStoreCases({ describe, it }, "my channel store", () => {
 *   let time = Date.now();
 *   const now = () => time;
 *   const advance = (ms: number) => {
 *     time += ms;
 *   };
 *   return { store: myChannelStore({ now }), now, advance, membersPerPage: 500 };
 * });
 */
export function channelStoreCases(
  runner: TestRunner,
  title: string,
  create: CreateChannelStore,
  options: ChannelStoreCasesOptions = {},
): void {
  runner.describe(title, () => {
    runner.describe("history", () => {
      historyCases(runner, create, options);
      historyReadingCases(runner, create);
      fanOutCases(runner, create, options);
    });
    runner.describe("members", () => membersCases(runner, create));
    runner.describe("chunks", () => messageChunksCases(runner, create));
  });
}
