import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { Writable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { createVitest, type TestRunResult, type TestSpecification, type Vitest } from "vitest/node";
import { type Coverage, type Finding, type Limits, type MutationRun, TIMEOUT } from "./findings.ts";
import type { Mutant } from "./mutants.ts";
import type { Part } from "./parts.ts";

/** A test with a mutant may take this long, in ms, and `SLOWDOWN` times as long as the slowest unchanged test of its file. */
const TEST_MS = 20_000;
const SLOWDOWN = 10;
/** The same for the time in which a test only waits, in ms. */
const IDLE_MS = 3_000;
/** Limit of a test of the unchanged code, in ms. */
const UNCHANGED_TEST_MS = 300_000;
/** A mutant is called this many times as often as in the unchanged code before it counts as an endless loop. */
const HIT_FACTOR = 100;
/** Memory of a test process, in MB, so that an endless recursion does not fill the machine's. */
const HEAP_MB = 1_024;
/** Starts of a test file whose process ends before its tests. */
const STARTS = 3;
/** Time to close, in ms. */
const CLOSE_MS = 20_000;
/** Resolves `lift-ws` to the sources. */
const SOURCE = { conditions: ["@lift-ws/source"] };

/** A mutant that times out is found as well, but slowly. */
export type Outcome = "killed" | "timed out" | "survived" | "not reached";

export interface MutantResult {
  readonly outcome: Outcome;
  /** The first failure: the test and its error. */
  readonly failure?: string;
}

interface TestFile {
  readonly specification: TestSpecification;
  /** ms that it takes with the unchanged code. */
  readonly durationMs: number;
  readonly limits: Limits;
  readonly coverage: Coverage;
}

/** The mutants to try in each test, by its ID. */
interface Tries {
  readonly [test: string]: readonly string[];
}

/** A mutant that is not decided yet. */
interface Undecided {
  /** Files in which it could not be tried among others. */
  readonly suspectIn: Set<TestFile>;
  /** The test in which it timed out. */
  timedOut?: { readonly file: TestFile; readonly test: string };
}

/** Runs the tests of a part in a tree whose sources are instrumented. */
export class MutationRunner {
  readonly #vitest: Vitest;
  readonly #folder: string;
  /** Quickest first. */
  readonly #files: readonly TestFile[];
  readonly #workers: ReadonlySet<ChildProcess>;
  readonly #results = new Map<string, MutantResult>();
  readonly #undecided = new Map<string, Undecided>();
  /** The files that run now, each with many mutants. */
  #running: readonly TestFile[] = [];

  private constructor(
    vitest: Vitest,
    folder: string,
    files: readonly TestFile[],
    workers: ReadonlySet<ChildProcess>,
  ) {
    this.#vitest = vitest;
    this.#folder = folder;
    this.#files = files.toSorted((a, b) => a.durationMs - b.durationMs);
    this.#workers = workers;
  }

  /** @throws {Error} when a test fails without any mutant */
  static async start(root: string, part: Part): Promise<MutationRunner> {
    const workers = trackWorkers();
    const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
    const vitest = await createVitest(
      "test",
      {
        root,
        watch: false,
        config: false,
        include: part.tests.map((path) => (path.endsWith(".ts") ? path : `${path}/**/*.test.ts`)),
        reporters: [{}],
        maxWorkers: 2,
        execArgv: [`--max-old-space-size=${HEAP_MB}`],
        testTimeout: UNCHANGED_TEST_MS,
        hookTimeout: UNCHANGED_TEST_MS,
        teardownTimeout: TEST_MS,
        restoreMocks: true,
        expect: { poll: { timeout: 5_000 } },
        globalSetup: ["test/secrets/folder.ts", ...(part.dynamodb ? ["test/dynamodb/global-setup.ts"] : [])],
        setupFiles: ["test/secrets/record.ts", "test/support/deterministic.ts", "test/mutation/setup.ts"],
      },
      { resolve: SOURCE, ssr: { resolve: SOURCE } },
      { stdout: silent, stderr: silent },
    );
    const folder = mkdtempSync(join(tmpdir(), "lift-ws-mutation-"));
    try {
      const specifications = await vitest.globTestSpecifications();
      vitest.provide("mutation", { folder });
      let result = await vitest.runTestSpecifications(specifications, true);
      // On a busy machine, tests with a time limit of their own may fail once.
      const failed = result.testModules.filter((module) => !module.ok()).map(({ moduleId }) => moduleId);
      if (failed.length > 0)
        result = await vitest.runTestSpecifications(
          specifications.filter(({ moduleId }) => failed.includes(moduleId)),
        );
      const failures = failuresOf(result);
      if (failures.length > 0) throw new Error(`Tests fail without a mutant:\n${failures.join("\n")}`);
      const files = result.testModules.map((module) => {
        const durations = [...module.children.allTests()].map((test) => test.diagnostic()?.duration ?? 0);
        return {
          specification: specifications.find(({ moduleId }) => moduleId === module.moduleId)!,
          durationMs: module.diagnostic().duration,
          limits: limitsFor(Math.max(0, ...durations)),
          coverage: takeCoverage(join(folder, `${module.moduleId}.json`)),
        };
      });
      return new MutationRunner(vitest, folder, files, workers);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      await vitest.close();
      throw error;
    }
  }

  /** The mutants that are decided so far. */
  results(): ReadonlyMap<string, MutantResult> {
    for (const file of this.#running) this.#readFindings(file);
    return this.#results;
  }

  /** Decides the mutants. */
  async run(mutants: readonly Mutant[]): Promise<void> {
    for (const { id } of mutants) {
      if (this.#files.some((file) => isReachedBy(file, id)))
        this.#undecided.set(id, { suspectIn: new Set() });
      else this.#results.set(id, { outcome: "not reached" });
    }
    const half = Math.ceil(this.#files.length / 2);
    for (const files of [this.#files.slice(0, half), this.#files.slice(half)])
      await this.#tryInTests(files, (file) => this.#planTries(file));
    await this.#retryTimedOut();
    const filesOf = ([id, { suspectIn }]: [string, Undecided]) => ({
      id,
      files: this.#files.filter((file) => file.coverage.static[id] !== undefined || suspectIn.has(file)),
    });
    const rest = [...this.#undecided].map(filesOf).sort((a, b) => a.files.length - b.files.length);
    for (const { id, files } of rest) this.#results.set(id, await this.#runAlone(id, files));
  }

  async stop(): Promise<void> {
    for (const worker of this.#workers) worker.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
    await Promise.race([this.#vitest.close(), setTimeout(CLOSE_MS)]);
  }

  /**
   * Tries many mutants in one run of each test file, because a process and its modules take longer to load than most
   * tests. This decides mutants that only tests reach, and not modules while they load.
   */
  async #tryInTests(files: readonly TestFile[], plan: (file: TestFile) => Tries): Promise<void> {
    const starts = new Map<TestFile, number>();
    for (let pending = files; pending.length > 0; ) {
      const tries = new Map(pending.map((file) => [file, plan(file)]));
      pending = pending.filter((file) => Object.keys(tries.get(file)!).length > 0);
      if (pending.length === 0) return;
      const lost: TestFile[] = [];
      this.#running = pending;
      await this.#run(pending, { tries: Object.assign({}, ...tries.values()) });
      this.#running = [];
      for (const file of pending) {
        const findings = this.#readFindings(file);
        rmSync(this.#reportOf(file), { force: true });
        const last = findings.at(-1);
        if (last !== undefined && "done" in last) continue;
        lost.push(file);
        // The process has ended: this mutant loops, or fills the memory.
        if (last !== undefined && "tries" in last) this.#setTimedOut(last.tries, file, last.test);
        else if (starts.set(file, (starts.get(file) ?? 0) + 1).get(file)! >= STARTS) {
          for (const id of Object.values(tries.get(file)!).flat())
            this.#undecided.get(id)?.suspectIn.add(file);
        }
      }
      pending = lost;
    }
  }

  /** Tries mutants that timed out once more in the same test: the machine may have been busy. */
  async #retryTimedOut(): Promise<void> {
    const retried = [...this.#undecided].filter(([, { timedOut }]) => timedOut !== undefined);
    for (const [id] of retried) rmSync(join(this.#folder, id), { force: true });
    const attempts = new Map(retried.map(([id, undecided]) => [id, undecided.timedOut!]));
    for (const [, undecided] of retried) delete undecided.timedOut;
    await this.#tryInTests(this.#files, (file) => {
      const tries: { [test: string]: string[] } = {};
      for (const [id, attempt] of attempts) {
        const undecided = this.#undecided.get(id);
        if (attempt.file !== file || undecided === undefined || undecided.timedOut !== undefined) continue;
        if (undecided.suspectIn.has(file)) continue;
        tries[attempt.test] = [...(tries[attempt.test] ?? []), id];
      }
      return tries;
    });
    for (const [id, undecided] of retried) {
      if (!this.#undecided.has(id)) continue;
      if (undecided.timedOut !== undefined) this.#decide(id, { outcome: "timed out" });
      // It has not been tried in every file.
      else for (const file of this.#files) if (isReachedBy(file, id)) undecided.suspectIn.add(file);
    }
  }

  #decide(id: string, result: MutantResult): void {
    this.#undecided.delete(id);
    this.#results.set(id, result);
  }

  #setTimedOut(id: string, file: TestFile, test: string): void {
    const undecided = this.#undecided.get(id);
    if (undecided === undefined) return;
    undecided.timedOut ??= { file, test };
    // Other files need not try it.
    writeFileSync(join(this.#folder, id), "");
  }

  #reportOf({ specification }: TestFile): string {
    return join(this.#folder, `${specification.moduleId}.json`);
  }

  #readFindings(file: TestFile): Finding[] {
    const path = this.#reportOf(file);
    const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
    const findings: Finding[] = lines.map((line) => JSON.parse(line));
    const name = relative(this.#vitest.config.root, file.specification.moduleId);
    for (const finding of findings) {
      if ("killed" in finding) {
        if (this.#undecided.has(finding.killed))
          this.#decide(finding.killed, { outcome: "killed", failure: `${name}: ${finding.failure}` });
      } else if ("timedOut" in finding) this.#setTimedOut(finding.timedOut, file, finding.test);
      else if ("suspect" in finding) this.#undecided.get(finding.suspect)?.suspectIn.add(file);
    }
    return findings;
  }

  /** The undecided mutants to try in each test of a file: those that the file reaches in tests only. */
  #planTries(file: TestFile): Tries {
    const undecided = [...this.#undecided].filter(
      ([id, { suspectIn, timedOut }]) =>
        timedOut === undefined && !suspectIn.has(file) && file.coverage.static[id] === undefined,
    );
    const tries = Object.entries(file.coverage.perTest).map(
      ([test, hits]) => [test, undecided.map(([id]) => id).filter((id) => hits[id] !== undefined)] as const,
    );
    return Object.fromEntries(tries.filter(([, ids]) => ids.length > 0));
  }

  /** Runs test files with the mutant switched on from the start, until one fails. */
  async #runAlone(mutant: string, files: readonly TestFile[]): Promise<MutantResult> {
    for (const batch of batches(files)) {
      let failure = await this.#run(batch, { mutant });
      // The machine may have been busy, so a timeout counts when it happens again.
      if (failure !== undefined && TIMEOUT.test(failure)) failure = await this.#run(batch, { mutant });
      if (failure !== undefined) return { outcome: TIMEOUT.test(failure) ? "timed out" : "killed", failure };
    }
    return { outcome: "survived" };
  }

  /** @returns the first failure */
  async #run(
    files: readonly TestFile[],
    run: Pick<MutationRun, "mutant" | "tries">,
  ): Promise<string | undefined> {
    const limits = Object.fromEntries(
      files.map(({ specification, limits }) => [specification.moduleId, limits]),
    );
    this.#vitest.provide("mutation", { folder: this.#folder, hitLimits: this.#hitLimits(), limits, ...run });
    const { testModules, unhandledErrors } = await this.#vitest.runTestSpecifications(
      files.map(({ specification }) => specification),
    );
    // A process that does not end after its tests would take the time of the next run.
    for (const worker of this.#workers) worker.kill("SIGKILL");
    // Vitest returns every module that it knows, so also failures of earlier mutants.
    const hasRun = new Set(files.map(({ specification }) => specification.moduleId));
    const failures = failuresOf({
      testModules: testModules.filter(({ moduleId }) => hasRun.has(moduleId)),
      unhandledErrors,
    });
    return failures.find((failure) => !TIMEOUT.test(failure)) ?? failures[0];
  }

  #hitLimits() {
    const limits: { [mutant: string]: number } = {};
    for (const { coverage } of this.#files) {
      for (const hits of [coverage.static, ...Object.values(coverage.perTest)]) {
        for (const [id, count] of Object.entries(hits))
          limits[id] = Math.max(limits[id] ?? 0, count * HIT_FACTOR);
      }
    }
    return limits;
  }
}

/** @param slowestMs time of the slowest unchanged test of a file, in ms */
function limitsFor(slowestMs: number): Limits {
  return {
    testMs: Math.round(Math.max(TEST_MS, SLOWDOWN * slowestMs)),
    idleMs: Math.round(Math.max(IDLE_MS, SLOWDOWN * slowestMs)),
  };
}

/** The test processes that are running. */
function trackWorkers(): ReadonlySet<ChildProcess> {
  const workers = new Set<ChildProcess>();
  subscribe("child_process", (message) => {
    const { process: child } = message as { process: ChildProcess };
    // The arguments are not known before.
    child.once("spawn", () => {
      if (child.spawnargs.some((arg) => arg.endsWith("workers/forks.js"))) workers.add(child);
    });
    child.once("exit", () => workers.delete(child));
  });
  return workers;
}

function takeCoverage(path: string): Coverage {
  const coverage = JSON.parse(readFileSync(path, "utf8"));
  rmSync(path);
  return coverage;
}

function isReachedBy({ coverage }: TestFile, id: string): boolean {
  return [coverage.static, ...Object.values(coverage.perTest)].some((hits) => hits[id] !== undefined);
}

/** Describes each failure: the file, the test and the first line of the error. */
function failuresOf({ testModules, unhandledErrors }: TestRunResult): string[] {
  const line = (error: unknown): string => {
    const { message = String(error), cause } = (error ?? {}) as Partial<Error>;
    return `${message.split("\n")[0]}${cause === undefined ? "" : ` ${line(cause)}`}`;
  };
  return testModules
    .filter((module) => !module.ok())
    .flatMap((module) => {
      const tests = [...module.children.allTests("failed")];
      const failures = [
        ...module.errors().map((error) => line(error)),
        ...[...module.children.allSuites()].flatMap((suite) => suite.errors().map((error) => line(error))),
        ...tests.map((test) => `${test.fullName}: ${line(test.result().errors?.[0])}`),
      ];
      return (failures.length > 0 ? failures : ["did not end"]).map(
        (failure) => `${module.relativeModuleId}: ${failure}`,
      );
    })
    .concat(unhandledErrors.map((error) => `outside a test: ${line(error)}`));
}

/** Small batches first: most mutants are noticed by the first files, and the rest need not run. */
function batches(files: readonly TestFile[]): TestFile[][] {
  const result: TestFile[][] = [];
  for (let start = 0, size = 2; start < files.length; start += size, size *= 2) {
    result.push(files.slice(start, start + size));
  }
  return result;
}
