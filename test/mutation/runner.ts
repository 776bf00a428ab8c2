import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createVitest, type TestRunResult, type TestSpecification, type Vitest } from "vitest/node";
import type { Mutant } from "./mutants.ts";
import type { Part } from "./parts.ts";

/** The run is over for a test that takes this long, in ms: the mutant keeps it waiting for ever. */
const TEST_MS = 20_000;
/** A mutant is called this many times as often as in the unchanged code before it counts as an endless loop. */
const HIT_FACTOR = 100;
/** Errors of a test that takes too long, of a wait in it, and of the process that the watchdog kills. */
const TIMEOUT = /timed out in|did not end|\[vitest-pool\]/i;
/** Resolves `lift-ws` to the sources. */
const SOURCE = { conditions: ["@lift-ws/source"] };

/** A mutant that times out is found as well, but slowly, and a busy machine may be the reason. */
export type Outcome = "killed" | "timed out" | "survived" | "not reached";

export interface Judgement {
  readonly outcome: Outcome;
  /** The first failure: the test and its error. */
  readonly failure?: string;
}

interface TestFile {
  readonly specification: TestSpecification;
  /** ms that it takes with the unchanged code. */
  readonly durationMs: number;
  /** Calls of each mutant. */
  readonly hits: { readonly [mutant: string]: number };
}

/** Runs the tests of a part in a tree whose sources are instrumented. */
export class MutationRunner {
  readonly #vitest: Vitest;
  readonly #files: readonly TestFile[];

  private constructor(vitest: Vitest, files: readonly TestFile[]) {
    this.#vitest = vitest;
    this.#files = files;
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
        // The first failure decides.
        bail: 1,
        testTimeout: TEST_MS,
        hookTimeout: TEST_MS,
        teardownTimeout: TEST_MS,
        expect: { poll: { timeout: 5_000 } },
        globalSetup: ["test/secrets/folder.ts", ...(part.dynamodb ? ["test/dynamodb/global-setup.ts"] : [])],
        setupFiles: ["test/secrets/record.ts", "test/support/deterministic.ts", "test/mutation/setup.ts"],
      },
      { resolve: SOURCE, ssr: { resolve: SOURCE } },
    );
    const coverage = mkdtempSync(join(tmpdir(), "lift-ws-mutation-"));
    try {
      const specifications = await vitest.globTestSpecifications();
      vitest.provide("mutation", { coverage });
      const result = await vitest.runTestSpecifications(specifications, true);
      const failures = failuresOf(result);
      if (failures.length > 0) throw new Error(`Tests fail without a mutant:\n${failures.join("\n")}`);
      const { testModules } = result;
      const durations = new Map(testModules.map((module) => [module.moduleId, module.diagnostic().duration]));
      const files = specifications.map((specification) => ({
        specification,
        durationMs: durations.get(specification.moduleId) ?? 0,
        hits: JSON.parse(readFileSync(join(coverage, `${specification.moduleId}.json`), "utf8")),
      }));
      return new MutationRunner(
        vitest,
        files.sort((a, b) => a.durationMs - b.durationMs),
      );
    } catch (error) {
      await vitest.close();
      throw error;
    } finally {
      rmSync(coverage, { recursive: true, force: true });
    }
  }

  /** Runs the test files that reach the mutant, fastest first, until one fails. */
  async judge({ id }: Mutant): Promise<Judgement> {
    const files = this.#files.filter(({ hits }) => hits[id] !== undefined);
    if (files.length === 0) return { outcome: "not reached" };
    const hitLimit = HIT_FACTOR * Math.max(...files.map(({ hits }) => hits[id] ?? 0));
    this.#vitest.provide("mutation", { mutant: id, hitLimit });
    for (const batch of batches(files)) {
      const specifications = batch.map(({ specification }) => specification);
      let failure = await this.#firstFailure(specifications);
      // The machine may have been busy, so a timeout counts when it happens again.
      if (failure !== undefined && TIMEOUT.test(failure)) failure = await this.#firstFailure(specifications);
      if (failure !== undefined) return { outcome: TIMEOUT.test(failure) ? "timed out" : "killed", failure };
    }
    return { outcome: "survived" };
  }

  async #firstFailure(specifications: TestSpecification[]): Promise<string | undefined> {
    const { testModules, unhandledErrors } = await this.#vitest.runTestSpecifications(specifications);
    // Vitest returns every module that it knows, so also failures of earlier mutants.
    const hasRun = new Set(specifications.map(({ moduleId }) => moduleId));
    const failures = failuresOf({
      testModules: testModules.filter(({ moduleId }) => hasRun.has(moduleId)),
      unhandledErrors,
    });
    return failures.find((failure) => !TIMEOUT.test(failure)) ?? failures[0];
  }

  async stop(): Promise<void> {
    await this.#vitest.close();
  }
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
  for (let start = 0, size = 4; start < files.length; start += size, size *= 2) {
    result.push(files.slice(start, start + size));
  }
  return result;
}
