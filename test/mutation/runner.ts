import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { createVitest, type TestRunResult, type TestSpecification, type Vitest } from "vitest/node";
import { type Coverage, type Finding, type MutationRun, TIMEOUT } from "./findings.ts";
import type { Mutant } from "./mutants.ts";
import type { Part } from "./parts.ts";

/** A test that takes this long, in ms, and longer than any of the unchanged code, waits for ever. */
const TEST_MS = 20_000;
/** Limit of a test of the unchanged code, in ms. */
const UNCHANGED_TEST_MS = 300_000;
/** A mutant is called this many times as often as in the unchanged code before it counts as an endless loop. */
const HIT_FACTOR = 100;
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
  readonly coverage: Coverage;
}

/** Runs the tests of a part in a tree whose sources are instrumented. */
export class MutationRunner {
  readonly #vitest: Vitest;
  readonly #folder: string;
  /** Quickest first. */
  readonly #files: readonly TestFile[];
  readonly #testMs: number;

  private constructor(vitest: Vitest, folder: string, files: readonly TestFile[], testMs: number) {
    this.#testMs = testMs;
    this.#vitest = vitest;
    this.#folder = folder;
    this.#files = files.toSorted((a, b) => a.durationMs - b.durationMs);
  }

  /** @throws {Error} when a test fails without any mutant */
  static async start(root: string, part: Part): Promise<MutationRunner> {
    const vitest = await createVitest(
      "test",
      {
        root,
        watch: false,
        config: false,
        include: part.tests.map((path) => (path.endsWith(".ts") ? path : `${path}/**/*.test.ts`)),
        reporters: [{}],
        maxWorkers: 2,
        testTimeout: UNCHANGED_TEST_MS,
        hookTimeout: UNCHANGED_TEST_MS,
        teardownTimeout: TEST_MS,
        restoreMocks: true,
        expect: { poll: { timeout: 5_000 } },
        globalSetup: ["test/secrets/folder.ts", ...(part.dynamodb ? ["test/dynamodb/global-setup.ts"] : [])],
        setupFiles: ["test/secrets/record.ts", "test/support/deterministic.ts", "test/mutation/setup.ts"],
      },
      { resolve: SOURCE, ssr: { resolve: SOURCE } },
    );
    const folder = mkdtempSync(join(tmpdir(), "lift-ws-mutation-"));
    try {
      const specifications = await vitest.globTestSpecifications();
      vitest.provide("mutation", { folder });
      const result = await vitest.runTestSpecifications(specifications, true);
      const failures = failuresOf(result);
      if (failures.length > 0) throw new Error(`Tests fail without a mutant:\n${failures.join("\n")}`);
      const durations = new Map(
        result.testModules.map((module) => [module.moduleId, module.diagnostic().duration]),
      );
      const files = specifications.map((specification) => ({
        specification,
        durationMs: durations.get(specification.moduleId) ?? 0,
        coverage: takeCoverage(join(folder, `${specification.moduleId}.json`)),
      }));
      const tests = result.testModules.flatMap((module) => [...module.children.allTests()]);
      const longest = Math.max(...tests.map((test) => test.diagnostic()?.duration ?? 0));
      return new MutationRunner(vitest, folder, files, Math.max(TEST_MS, 3 * longest));
    } catch (error) {
      await vitest.close();
      throw error;
    }
  }

  /** Yields the mutants as they are decided. */
  async *runAll(mutants: readonly Mutant[]): AsyncGenerator<Mutant & MutantResult> {
    const found = await this.#tryInTests(mutants);
    const undecided: { readonly mutant: Mutant; readonly files: readonly TestFile[] }[] = [];
    for (const mutant of mutants) {
      const { killed, suspectIn } = found.get(mutant.id)!;
      if (killed !== undefined) yield { ...mutant, outcome: "killed", failure: killed };
      else {
        const isLeft = (file: TestFile) =>
          file.coverage.static[mutant.id] !== undefined || suspectIn.includes(file);
        undecided.push({ mutant, files: this.#files.filter(isLeft) });
      }
    }
    for (const { mutant, files } of undecided.toSorted((a, b) => a.files.length - b.files.length)) {
      const isReached = this.#files.some((file) => isReachedBy(file, mutant.id));
      yield {
        ...mutant,
        ...(isReached ? await this.#runAlone(mutant, files) : { outcome: "not reached" }),
      };
    }
  }

  async stop(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
    await this.#vitest.close();
  }

  /**
   * Tries many mutants in one run of each test file, because a process and its modules take longer to load than most
   * tests. This decides mutants that only tests reach, and not modules while they load.
   */
  async #tryInTests(mutants: readonly Mutant[]) {
    const found = new Map<string, { killed?: string; suspectIn: TestFile[] }>(
      mutants.map(({ id }) => [id, { suspectIn: [] }]),
    );
    const half = Math.ceil(this.#files.length / 2);
    for (const files of [this.#files.slice(0, half), this.#files.slice(half)]) {
      for (let pending = files; pending.length > 0; ) {
        const tries = new Map(pending.map((file) => [file, planTries(file, found)]));
        pending = pending.filter((file) => Object.keys(tries.get(file) ?? {}).length > 0);
        if (pending.length === 0) break;
        await this.#run(pending, { tries: Object.assign({}, ...tries.values()) });
        const lost: TestFile[] = [];
        for (const file of pending) {
          const findings = this.#readFindings(file);
          for (const finding of findings) {
            if ("killed" in finding)
              found.get(finding.killed)!.killed ??=
                `${relative(this.#vitest.config.root, file.specification.moduleId)}: ${finding.failure}`;
            else if ("suspect" in finding) found.get(finding.suspect)?.suspectIn.push(file);
          }
          if (findings.some((finding) => "done" in finding)) continue;
          if (findings.some((finding) => "isLost" in finding)) lost.push(file);
          else
            for (const id of Object.values(tries.get(file) ?? {}).flat()) found.get(id)!.suspectIn.push(file);
        }
        pending = lost;
      }
    }
    return found;
  }

  #readFindings({ specification }: TestFile): Finding[] {
    const path = join(this.#folder, `${specification.moduleId}.json`);
    const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
    rmSync(path, { force: true });
    return lines.map((line) => JSON.parse(line));
  }

  /** Runs test files with the mutant switched on from the start, until one fails. */
  async #runAlone({ id }: Mutant, files: readonly TestFile[]): Promise<MutantResult> {
    for (const batch of batches(files)) {
      let failure = await this.#run(batch, { mutant: id });
      // The machine may have been busy, so a timeout counts when it happens again.
      if (failure !== undefined && TIMEOUT.test(failure)) failure = await this.#run(batch, { mutant: id });
      if (failure !== undefined) return { outcome: TIMEOUT.test(failure) ? "timed out" : "killed", failure };
    }
    return { outcome: "survived" };
  }

  /** @returns the first failure */
  async #run(
    files: readonly TestFile[],
    run: Pick<MutationRun, "mutant" | "tries">,
  ): Promise<string | undefined> {
    const common = { folder: this.#folder, hitLimits: this.#hitLimits(), testMs: this.#testMs };
    this.#vitest.provide("mutation", { ...common, ...run });
    const { testModules, unhandledErrors } = await this.#vitest.runTestSpecifications(
      files.map(({ specification }) => specification),
    );
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

function takeCoverage(path: string): Coverage {
  const coverage = JSON.parse(readFileSync(path, "utf8"));
  rmSync(path);
  return coverage;
}

function isReachedBy({ coverage }: TestFile, id: string): boolean {
  return [coverage.static, ...Object.values(coverage.perTest)].some((hits) => hits[id] !== undefined);
}

/** The undecided mutants to try in each test of a file: those that the file reaches in tests only. */
function planTries(
  file: TestFile,
  found: ReadonlyMap<string, { killed?: string; suspectIn: TestFile[] }>,
): { [test: string]: string[] } {
  const undecided = [...found].filter(
    ([id, { killed, suspectIn }]) =>
      killed === undefined && !suspectIn.includes(file) && file.coverage.static[id] === undefined,
  );
  const tries = Object.entries(file.coverage.perTest).map(
    ([test, hits]) => [test, undecided.map(([id]) => id).filter((id) => hits[id] !== undefined)] as const,
  );
  return Object.fromEntries(tries.filter(([, ids]) => ids.length > 0).map(([test, ids]) => [test, [...ids]]));
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
