// Runs before each test file of a mutation run: switches mutants on, and reports which tests reach which mutants.
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, vi } from "vitest";
import { type Coverage, type Finding, type MutationRun, TIMEOUT } from "./findings.ts";

declare module "vitest" {
  interface ProvidedContext {
    mutation: MutationRun;
  }
}

/** The names are Stryker's: instrumented code looks them up. */
interface StrykerNamespace {
  activeMutant?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  currentTestId?: string;
  mutantCoverage?: Coverage;
}

interface TestNode {
  readonly type: string;
  readonly id: string;
  readonly tasks?: readonly TestNode[];
}

const WAIT_MS = 5_000;
const run = inject("mutation");
const namespace: StrykerNamespace = {};
(globalThis as { __stryker__?: StrykerNamespace }).__stryker__ = namespace;
let report = "";
beforeAll(() => {
  report = join(run.folder, `${expect.getState().testPath ?? "unknown"}.json`);
  mkdirSync(dirname(report), { recursive: true });
});

if (run.testMs !== undefined) {
  vi.setConfig({ testTimeout: run.testMs, hookTimeout: run.testMs });
  // A mutant that never does what a test waits for should not take the minute that a busy machine gets.
  const { waitFor, waitUntil } = vi;
  vi.waitFor = (check, options) => waitFor(check, impatient(options));
  vi.waitUntil = (check, options) => waitUntil(check, impatient(options));
  if (run.tries === undefined) switchOn(run.mutant);
  else tryMutants(run.tries);
  let watchdog: Worker;
  beforeAll(() => {
    watchdog = startWatchdog();
  });
  beforeEach(() => watchdog.postMessage(namespace.activeMutant));
  afterAll(() => void watchdog.terminate());
} else {
  beforeEach(({ task }) => {
    namespace.currentTestId = task.id;
  });
  afterAll(() => {
    writeFileSync(report, JSON.stringify(namespace.mutantCoverage ?? { static: {}, perTest: {} }));
  });
}

function impatient<Options extends { timeout?: number }>(options: number | Options | undefined) {
  return { ...(typeof options === "object" ? options : undefined), timeout: WAIT_MS };
}

/** Ends this process from another thread, because a loop leaves its own no turn. Vitest reports the lost worker. */
function startWatchdog(): Worker {
  const lost = '{"suspect":"\' + mutant + \'","isLost":true}\\n';
  const watchdog = new Worker(
    `let timer;
    require("node:worker_threads").parentPort.on("message", (mutant) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        require("node:fs").appendFileSync(${JSON.stringify(report)}, '${lost}');
        process.kill(process.pid, "SIGKILL");
      }, ${2 * (run.testMs ?? 0)});
    });`,
    { eval: true },
  );
  watchdog.unref();
  return watchdog;
}

function switchOn(mutant: string | undefined): void {
  namespace.activeMutant = mutant;
  namespace.hitCount = mutant === undefined ? undefined : 0;
  namespace.hitLimit = mutant === undefined ? undefined : run.hitLimits?.[mutant];
}

/**
 * Repeats each test: unchanged, then with each mutant, and unchanged again. A mutant is killed if the test fails with it,
 * and passes before and after.
 */
function tryMutants(tries: { readonly [test: string]: readonly string[] }): void {
  const decided = new Set<string>();
  const add = (finding: Finding) => appendFileSync(report, `${JSON.stringify(finding)}\n`);
  const isDecided = (mutant: string) => decided.has(mutant) || existsSync(join(run.folder, mutant));
  let mutants: readonly string[] = [];
  let failures = new Map<string, string>();
  let passesUnchanged = true;
  let errorsBefore = 0;

  const visit = (node: TestNode): void => {
    for (const child of node.tasks ?? []) visit(child);
    if (node.type !== "test") return;
    // Vitest reads it when the test starts.
    Object.defineProperty(node, "repeats", {
      get: () => {
        mutants = (tries[node.id] ?? []).filter((mutant) => !isDecided(mutant));
        failures = new Map();
        passesUnchanged = true;
        return mutants.length === 0 ? 0 : mutants.length + 1;
      },
    });
  };
  // biome-ignore lint/correctness/noEmptyPattern: Vitest requires a pattern
  beforeAll(({}, suite) => visit(suite as TestNode));
  beforeEach(({ task }) => {
    switchOn(mutants[(task.result?.repeatCount ?? 0) - 1]);
    errorsBefore = task.result?.errors?.length ?? 0;
  });
  afterEach(({ task }) => {
    const mutant = namespace.activeMutant;
    const { state, errors = [], repeatCount = 0 } = task.result ?? {};
    if (state === "fail") {
      const { message = "" } = errors[errorsBefore] ?? {};
      if (mutant === undefined) passesUnchanged = false;
      else failures.set(mutant, `${task.name}: ${message.split("\n")[0]}`);
    }
    if (repeatCount <= mutants.length) return;
    switchOn(undefined);
    const isSuspect = (mutant: string) => !passesUnchanged || TIMEOUT.test(failures.get(mutant) ?? "");
    for (const mutant of mutants) {
      if (!isSuspect(mutant) && !failures.has(mutant)) continue;
      decided.add(mutant);
      if (isSuspect(mutant)) add({ suspect: mutant });
      else {
        add({ killed: mutant, failure: failures.get(mutant)! });
        writeFileSync(join(run.folder, mutant), "");
      }
    }
  });
  process.on("unhandledRejection", () => {
    if (namespace.activeMutant !== undefined) add({ suspect: namespace.activeMutant });
  });
  afterAll(() => add({ done: true }));
}
