// Runs before each test file of a mutation run: switches mutants on, and reports which tests reach which mutants.
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, TestRunner, vi } from "vitest";
import { type Coverage, type Finding, type MutationRun, TIMEOUT, VAIN_WAIT } from "./findings.ts";

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
  currentTestId?: string | undefined;
  mutantCoverage?: Coverage;
}

interface TestNode {
  readonly type: string;
  readonly id: string;
  readonly tasks?: readonly TestNode[];
}

const WAIT_MS = 5_000;
/** Limit of a test on the clock, as a multiple of its limit of processor time. */
const WALL_FACTOR = 10;
const run = inject("mutation");
const namespace: StrykerNamespace = {};
(globalThis as { __stryker__?: StrykerNamespace }).__stryker__ = namespace;
const { testPath = "unknown" } = expect.getState();
const report = join(run.folder, `${testPath}.json`);
mkdirSync(dirname(report), { recursive: true });

const { setInterval, clearInterval, performance } = globalThis;

const limits = run.limits?.[testPath];
if (limits !== undefined) {
  const { testMs, idleMs } = limits;
  const heartbeat = startWatchdog(testMs);
  beforeEach(heartbeat);
  vi.setConfig({ testTimeout: testMs, hookTimeout: testMs });
  // A mutant that never does what a test waits for should not take the minute that a busy machine gets.
  const { waitFor, waitUntil } = vi;
  vi.waitFor = (check, options) => waitFor(check, impatient(options)).catch(throwVain);
  vi.waitUntil = (check, options) => waitUntil(check, impatient(options)).catch(throwVain);
  // biome-ignore lint/correctness/noEmptyPattern: Vitest requires a pattern
  beforeAll(({}, suite) => {
    for (const test of testsOf(suite as TestNode)) limitIdleTime(test, idleMs);
  });
  if (run.tries === undefined) runWith(run.mutant);
  else tryMutants(run.tries);
} else {
  beforeEach(({ task }) => {
    namespace.currentTestId = task.id;
  });
  // Hooks of a suite run for all of its tests.
  afterEach(() => {
    namespace.currentTestId = undefined;
  });
  afterAll(() => {
    writeFileSync(report, JSON.stringify(namespace.mutantCoverage ?? { static: {}, perTest: {} }));
  });
}

function impatient<Options extends { timeout?: number }>(options: number | Options | undefined) {
  return { ...(typeof options === "object" ? options : undefined), timeout: WAIT_MS };
}

function throwVain(error: Error): never {
  error.message = `${VAIN_WAIT}${error.message}`;
  throw error;
}

/**
 * Ends this process when a test does not end: a loop leaves its own thread no turn. Vitest reports the lost worker.
 * Counts processor time, because a busy machine may leave this process little of it.
 * @returns a function to call at the start of each test
 */
function startWatchdog(testMs: number): () => void {
  const watchdog = new Worker(
    `let start, cpu;
    const restart = () => { start = Date.now(); cpu = process.cpuUsage(); };
    restart();
    require("node:worker_threads").parentPort.on("message", restart);
    setInterval(() => {
      const { user, system } = process.cpuUsage(cpu);
      const isLost = (user + system) / 1000 > ${testMs} || Date.now() - start > ${WALL_FACTOR * testMs};
      if (isLost) process.kill(process.pid, "SIGKILL");
    }, 500);`,
    { eval: true },
  );
  watchdog.unref();
  return () => watchdog.postMessage(undefined);
}

/** Fails a test that only waits. */
function limitIdleTime(test: object, idleMs: number): void {
  const runTest = TestRunner.getTestFn(test);
  // Its declared type lacks the function.
  const setTestFn = TestRunner.setTestFn as (test: object, run: () => Promise<void>) => void;
  setTestFn(test, async () => {
    const idle = Promise.withResolvers<never>();
    const start = performance.eventLoopUtilization();
    const timer = setInterval(() => {
      if (performance.eventLoopUtilization(start).idle < idleMs) return;
      idle.reject(new Error(`${VAIN_WAIT}idle for ${idleMs} ms`));
    }, 200);
    try {
      await Promise.race([runTest(), idle.promise]);
    } finally {
      clearInterval(timer);
    }
  });
}

function testsOf(node: TestNode): TestNode[] {
  return node.type === "test" ? [node] : (node.tasks ?? []).flatMap(testsOf);
}

function switchOn(mutant: string | undefined): void {
  namespace.activeMutant = mutant;
  namespace.hitCount = mutant === undefined ? undefined : 0;
  namespace.hitLimit = mutant === undefined ? undefined : run.hitLimits?.[mutant];
}

/** Runs the file with a mutant, until the first failure. */
function runWith(mutant: string | undefined): void {
  let hasFailed = false;
  switchOn(mutant);
  beforeEach(({ skip }) => skip(hasFailed));
  afterEach(({ task }) => {
    hasFailed ||= task.result?.state === "fail";
  });
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

  // biome-ignore lint/correctness/noEmptyPattern: Vitest requires a pattern
  beforeAll(({}, suite) => {
    for (const test of testsOf(suite as TestNode)) {
      // Vitest reads it when the test starts.
      Object.defineProperty(test, "repeats", {
        get: () => {
          mutants = (tries[test.id] ?? []).filter((mutant) => !isDecided(mutant));
          failures = new Map();
          passesUnchanged = true;
          return mutants.length === 0 ? 0 : mutants.length + 1;
        },
      });
    }
  });
  beforeEach(({ task }) => {
    const mutant = mutants[(task.result?.repeatCount ?? 0) - 1];
    if (mutant !== undefined) add({ tries: mutant, test: task.id });
    switchOn(mutant);
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
    for (const mutant of mutants) {
      const failure = failures.get(mutant);
      if (passesUnchanged && failure === undefined) continue;
      decided.add(mutant);
      if (!passesUnchanged || failure === undefined) {
        add({ suspect: mutant });
        continue;
      }
      writeFileSync(join(run.folder, mutant), "");
      add(TIMEOUT.test(failure) ? { timedOut: mutant, test: task.id, failure } : { killed: mutant, failure });
    }
  });
  process.on("unhandledRejection", () => {
    if (namespace.activeMutant !== undefined) add({ suspect: namespace.activeMutant });
  });
  afterAll(() => add({ done: true }));
}
