import { isDeepStrictEqual } from "node:util";
import type { Connection, ConnectionStore, TimeBudget } from "../../store/index.ts";

/** A row that two stores hold differently. */
export interface RowDifference {
  /** The connection's id. */
  readonly id: string;
  /** Names of the fields that differ, such as `userId` or `state.room`; `row` when one store has no row. Never values. */
  readonly fields: readonly string[];
  /** When the difference was found, in ms since the epoch. */
  readonly at: number;
  /** The error of the write that failed, if there was one. */
  readonly cause?: unknown;
}

/** Compares two rows. Returns the names of the fields that differ. */
export type CompareRows = (primary: Connection, secondary: Connection) => readonly string[];

/**
 * Two stores are read one after the other, so a row may expire between the reads. Longer than one read takes, in ms.
 */
const EXPIRY_MARGIN_MS = 10_000;

/**
 * Compares all fields of two rows; of the state each key.
 * @example
 * const compare: CompareRows = (a, b) => differingFields(a, b).filter((field) => field !== "userAgent");
 */
export function differingFields(primary: Connection, secondary: Connection): readonly string[] {
  const { state, ...fields } = primary;
  const { state: otherState, ...otherFields } = secondary;
  return [
    ...differingNames(fields, otherFields),
    ...differingNames(state, otherState).map((key) => `state.${key}`),
  ];
}

/** Returns the state keys with the primary's values that make the secondary's state equal. */
export function stateChanges({ state }: Connection, { state: other }: Connection) {
  return Object.fromEntries(
    differingNames(state, other).map((key) => [key, Object.hasOwn(state, key) ? state[key] : undefined]),
  );
}

function differingNames(one: object, other: object): string[] {
  const values = new Map<string, unknown>(Object.entries(one));
  const others = new Map<string, unknown>(Object.entries(other));
  return [...new Set([...values.keys(), ...others.keys()])].filter(
    (name) => !isDeepStrictEqual(values.get(name), others.get(name)),
  );
}

/** A row as two stores hold it. */
export interface RowPair {
  readonly primary: Connection | undefined;
  readonly secondary: Connection | undefined;
  /** Names of the fields that differ. */
  readonly fields: readonly string[];
}

/** Reads a row from two stores and compares it. */
export class RowComparison {
  readonly #compare: CompareRows;
  readonly #now: () => number;

  constructor(compare: CompareRows, now: () => number) {
    this.#compare = compare;
    this.#now = now;
  }

  async read(
    id: string,
    primaryStore: ConnectionStore,
    secondaryStore: ConnectionStore,
    budget: TimeBudget,
  ): Promise<RowPair> {
    const primary = await primaryStore.get(id, budget);
    const secondary = await secondaryStore.get(id, budget);
    return { primary, secondary, fields: this.#fieldsOf(primary, secondary) };
  }

  #fieldsOf(primary: Connection | undefined, secondary: Connection | undefined): readonly string[] {
    if (primary !== undefined && secondary !== undefined) return this.#compare(primary, secondary);
    const only = primary ?? secondary;
    return only === undefined || only.expiresAt - this.#now() < EXPIRY_MARGIN_MS ? [] : ["row"];
  }
}

/** Returns the time that one call to a store may take: `timeoutMs`, but not more than the caller has. */
export function callBudget(timeoutMs: number, budget?: TimeBudget): TimeBudget {
  const limit = Math.min(timeoutMs, budget?.getRemainingTimeInMillis() ?? timeoutMs);
  const end = performance.now() + limit;
  return { getRemainingTimeInMillis: () => end - performance.now() };
}
