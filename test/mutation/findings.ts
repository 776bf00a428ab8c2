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
  /** Limits of a test with a mutant, by the path of its file. */
  readonly limits?: { readonly [file: string]: Limits };
}

export interface Limits {
  /** ms of processor time, and of a test on the clock. */
  readonly testMs: number;
  /** ms in which the process does nothing. A busy machine does not make them longer, so they may be short. */
  readonly idleMs: number;
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

/** A line of a test file's report. */
export type Finding =
  /** The mutant is on from now on. If this is the last line, it ended the process. */
  | { readonly tries: string; readonly test: string }
  | { readonly killed: string; readonly failure: string }
  | { readonly timedOut: string; readonly test: string; readonly failure: string }
  /** The test does not pass unchanged when it is repeated, so the mutant needs a run of its own. */
  | { readonly suspect: string }
  | { readonly done: true };

/** The start of the message of a wait that ended without success. */
export const VAIN_WAIT = "Waited in vain: ";

/** Errors of a test that takes too long. A busy machine may be the reason. */
export const TIMEOUT = /timed out in|did not end|\[vitest-pool\]|waited in vain/i;
