// Runs before each test file of a mutation run: switches one mutant on, and reports which mutants the file reaches.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, expect, inject, vi } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    mutation: MutationRun;
  }
}

export interface MutationRun {
  /** The mutant to switch on; without it the run only collects which mutants each file reaches. */
  readonly mutant?: string;
  /** The mutant's calls after which it throws, so that an endless loop ends. */
  readonly hitLimit?: number;
  /** Folder for a file per test file: the calls of each mutant that it reaches. */
  readonly coverage?: string;
}

/** The names are Stryker's: instrumented code looks them up. */
interface StrykerNamespace {
  activeMutant?: string | undefined;
  hitCount?: number;
  hitLimit?: number | undefined;
  mutantCoverage?: { readonly static: { readonly [mutant: string]: number } };
}

const WAIT_MS = 5_000;
/** A test file that takes longer is in an endless loop that does not pass the mutant. */
const FILE_MS = 90_000;

const run = inject("mutation");
const namespace: StrykerNamespace = {};
(globalThis as { __stryker__?: StrykerNamespace }).__stryker__ = namespace;
if (run.mutant !== undefined) {
  namespace.activeMutant = run.mutant;
  namespace.hitCount = 0;
  namespace.hitLimit = run.hitLimit;
  // A mutant that never does what a test waits for should not take the minute that a busy machine gets.
  const { waitFor, waitUntil } = vi;
  vi.waitFor = (check, options) => waitFor(check, impatient(options));
  vi.waitUntil = (check, options) => waitUntil(check, impatient(options));
}

/** Ends this process from another thread, because a loop leaves its own no turn. Vitest reports the lost worker. */
const watchdog =
  run.mutant === undefined
    ? undefined
    : new Worker(`setTimeout(() => process.kill(process.pid, "SIGKILL"), ${FILE_MS})`, { eval: true });
watchdog?.unref();

function impatient<Options extends { timeout?: number }>(options: number | Options | undefined) {
  return { ...(typeof options === "object" ? options : undefined), timeout: WAIT_MS };
}

afterAll(() => {
  void watchdog?.terminate();
  if (run.coverage === undefined) return;
  const file = join(run.coverage, `${expect.getState().testPath ?? "unknown"}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(namespace.mutantCoverage?.static ?? {}));
});
