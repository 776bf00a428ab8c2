// Messages between the runner and the setup file of its tests.

export interface MutationRun {
  /** Folder for what each test file reports. */
  readonly folder: string;
  /** The mutant to switch on, for the whole file. */
  readonly mutant?: string | undefined;
  /** The mutants to switch on, one after the other, in each test by its ID. */
  readonly tries?: { readonly [test: string]: readonly string[] } | undefined;
  /** A mutant's calls after which it throws, so that an endless loop ends. */
  readonly hitLimits?: { readonly [mutant: string]: number } | undefined;
  /** ms that a test may take with a mutant. */
  readonly testMs?: number;
}

/** Calls of each mutant. */
export interface Hits {
  readonly [mutant: string]: number;
}

/** The mutants that a test file reaches: outside of its tests, for example while its modules load, and in each test. */
export interface Coverage {
  readonly static: Hits;
  readonly perTest: { readonly [test: string]: Hits };
}

/** A mutant that was tried within a file. A suspect needs a run of its own. */
export type Finding =
  | { readonly killed: string; readonly failure: string }
  | { readonly suspect: string; readonly isLost?: true }
  | { readonly done: true };

/** Errors of a test that takes too long. A busy machine may be the reason. */
export const TIMEOUT = /timed out in|did not end|\[vitest-pool\]/i;
