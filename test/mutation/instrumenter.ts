// Stryker's instrumenter, from a package of its own that is installed when it is first needed.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { capture } from "../../tools/child.mjs";

const FOLDER = import.meta.dirname;
/** A copy of the lockfile that was installed last. */
const STAMP = join(FOLDER, "node_modules", ".installed-lock.json");

/** A mutant as Stryker describes it. Lines and columns count from 0. */
export interface InstrumentedMutant {
  readonly id: string;
  readonly fileName: string;
  readonly mutatorName: string;
  readonly replacement: string;
  readonly location: {
    readonly start: { readonly line: number; readonly column: number };
    readonly end: { readonly line: number; readonly column: number };
  };
}

/** The part of `Instrumenter` in `@stryker-mutator/instrumenter` that this runner uses. */
export interface Instrumenter {
  instrument(
    files: readonly { readonly name: string; readonly mutate: boolean; readonly content: string }[],
    options: object,
  ): Promise<{
    readonly files: readonly { readonly name: string; readonly content: string }[];
    readonly mutants: readonly InstrumentedMutant[];
  }>;
}

/** @throws {Error} when npm cannot install it */
export async function loadInstrumenter(): Promise<Instrumenter> {
  const lockfile = readFileSync(join(FOLDER, "package-lock.json"), "utf8");
  if (!existsSync(STAMP) || readFileSync(STAMP, "utf8") !== lockfile) {
    process.stdout.write("Installing Stryker's instrumenter (npm ci), 78 packages ...\n");
    const args = ["ci", "--prefer-offline", "--loglevel=error"];
    const { code, output } = await capture("npm", args, { cwd: FOLDER });
    if (code !== 0) throw new Error(`npm ci in ${FOLDER} ended with ${code}:\n${output}`);
    writeFileSync(STAMP, lockfile);
  }
  // Not a literal: the package is not there when the tree is type-checked.
  const name: string = "@stryker-mutator/instrumenter";
  const { Instrumenter } = await import(name);
  const silent = { isDebugEnabled: () => false, debug() {}, info() {}, warn() {}, error() {} };
  return new Instrumenter(silent);
}
