import { requestLeaseCases } from "./request-leases.cases.ts";
import { requestListCases } from "./request-lists.cases.ts";
import { requestStateCases } from "./request-states.cases.ts";
import type { CreateRequestStore } from "./request-store-under-test.ts";
import type { TestRunner } from "./test-runner.ts";

/**
 * Defines a test for every guarantee of `RequestStore`.
 * @param runner of `node:test`, vitest or another test runner
 * @param title of the group of tests
 * @param create creates an empty store for each test
 * @example
 * requestStoreCases({ describe, it }, "my request store", () => {
 *   let time = Date.now();
 *   const now = () => time;
 *   const advance = (ms: number) => {
 *     time += ms;
 *   };
 *   return { store: myRequestStore({ now }), now, advance };
 * });
 */
export function requestStoreCases(runner: TestRunner, title: string, create: CreateRequestStore): void {
  runner.describe(title, () => {
    runner.describe("states", () => requestStateCases(runner, create));
    runner.describe("leases and output", () => requestLeaseCases(runner, create));
    runner.describe("lists", () => requestListCases(runner, create));
  });
}
