// @ts-check
import { writeFileSync } from "node:fs";

/** @import { Reporter, TestModule } from "vitest/node" */

/**
 * Writes vitest's counts as one line into COUNTS_FILE. The caller prints it last: vitest's JSON reporter would print
 * another line after the counts.
 * @implements {Reporter}
 */
export default class CountsReporter {
  /**
   * @param {readonly TestModule[]} modules
   * @param {readonly unknown[]} errors thrown outside of any test
   */
  onTestRunEnd(modules, errors) {
    writeFileSync(process.env.COUNTS_FILE ?? "", `${countsLine(modules, errors)}\n`);
  }
}

/**
 * Each failure outside of a test (a file that cannot load, an unhandled rejection) counts as one failed test: otherwise
 * the counts would not show it.
 * @param {readonly TestModule[]} modules
 * @param {readonly unknown[]} errors
 */
function countsLine(modules, errors) {
  const counts = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
  for (const module of modules) {
    counts.failed += module.errors().length;
    for (const test of module.children.allTests()) counts[test.result().state]++;
  }
  const skipped = counts.skipped + counts.pending;
  const line = `${counts.passed} passed, ${counts.failed} failed`;
  return skipped > 0 ? `${line}, ${skipped} skipped` : line;
}
