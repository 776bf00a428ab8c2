// Stryker's instrumenter, from a package of its own that is installed when it is first needed.
import { installOwnPackage } from "../../tools/npm.mjs";

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

/** @throws {SetupError} when npm cannot install it */
export async function loadInstrumenter(): Promise<Instrumenter> {
  await installOwnPackage(import.meta.dirname, "Stryker's instrumenter, 78 packages");
  // Not a literal: the package is not there when the tree is type-checked.
  const name: string = "@stryker-mutator/instrumenter";
  const { Instrumenter } = await import(name);
  const silent = { isDebugEnabled: () => false, debug() {}, info() {}, warn() {}, error() {} };
  return new Instrumenter(silent);
}
