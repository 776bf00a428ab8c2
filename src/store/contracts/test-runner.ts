import assert from "node:assert/strict";

/** The functions of a test runner that the cases need. Those of `node:test`, vitest, Jest and Mocha fit. */
export interface TestRunner {
  /** Groups tests. */
  describe(title: string, body: () => void): unknown;
  /**
   * Defines a test, which fails when `body` rejects.
   * @param timeoutMs for tests that are slow on a remote backend; a runner without a time limit ignores it
   */
  it(title: string, body: () => Promise<void>, timeoutMs?: number): unknown;
}

/** Returns an `it` that runs `setUp` before, and `tearDown` after, each test. So a runner needs no hooks. */
export function withSetUp(
  it: TestRunner["it"],
  setUp: () => Promise<void>,
  tearDown: () => Promise<void> = async () => {},
): TestRunner["it"] {
  return (title, body, timeoutMs) => {
    const test = async () => {
      await setUp();
      try {
        await body();
      } finally {
        await tearDown();
      }
    };
    return timeoutMs === undefined ? it(title, test) : it(title, test, timeoutMs);
  };
}

/**
 * Asserts that a value has all properties of `expected`, deeply. Arrays must have the same length, unlike with
 * `assert.partialDeepStrictEqual`.
 */
export function assertMatches(actual: unknown, expected: unknown): void {
  if (matches(actual, expected)) return;
  assert.deepEqual(actual, expected);
}

function matches(actual: unknown, expected: unknown): boolean {
  if (typeof expected !== "object" || expected === null) return Object.is(actual, expected);
  if (typeof actual !== "object" || actual === null) return false;
  if (Array.isArray(expected) && (!Array.isArray(actual) || actual.length !== expected.length)) return false;
  const own = actual as { readonly [name: string]: unknown };
  return Object.entries(expected).every(([name, value]) => matches(own[name], value));
}
