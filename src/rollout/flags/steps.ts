import { isRecord } from "../../internal/options.ts";
import { RolloutError } from "../errors.ts";

/** The handler that serves a connection. */
export type Side = "old" | "new";

/** A share of connections on the new side, from a time on. */
export interface FlagStep {
  /** Percentage of connections, users or tenants on the new side, 0 to 100. */
  readonly percent: number;
  /** Applies to connections that begin at this time or later, in ms since the epoch. A lower percentage applies at once. */
  readonly since: number;
}

/** Steps from before this time, in ms, cannot matter: no connection lives as long. */
const HISTORY_MS = 24 * 60 * 60 * 1000;
const DEFAULT_LEAD_MS = 60_000;

const ALL: readonly FlagStep[] = [{ percent: 100, since: Number.NEGATIVE_INFINITY }];

/**
 * Parses a flag's value: `true` is the new side for all, `false` or nothing the old one. Otherwise it is JSON such as
 * `{"steps":[{"percent":5,"since":"2026-11-29T10:00:00Z"}]}`.
 * @throws {RolloutError} INVALID_FLAG
 * @example
 * parseFlag("true"); // all connections on the new side
 */
export function parseFlag(value: string | undefined): readonly FlagStep[] {
  const text = value?.trim() ?? "";
  if (text === "true") return ALL;
  if (text === "" || text === "false") return [];
  const steps = (parseObject(text)?.steps ?? undefined) as unknown;
  if (!Array.isArray(steps)) throw invalidFlag('expected `true`, `false` or `{"steps":[…]}`');
  return steps.map(parseStep).map((step, index, all) => {
    if (index > 0 && step.since <= all[index - 1]!.since) {
      throw invalidFlag(`\`steps[${index}].since\` must be later than the step's before`);
    }
    return step;
  });
}

function parseObject(text: string): { readonly [name: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function parseStep(step: unknown, index: number): FlagStep {
  const { percent, since } = isRecord(step) ? step : {};
  if (!isPercentage(percent)) throw invalidFlag(`\`steps[${index}].percent\` must be a number from 0 to 100`);
  const time = typeof since === "string" ? Date.parse(since) : Number.NaN;
  if (Number.isNaN(time)) throw invalidFlag(`\`steps[${index}].since\` must be a date in ISO 8601`);
  return { percent, since: time };
}

function isPercentage(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 100;
}

function invalidFlag(fault: string): RolloutError {
  return new RolloutError("INVALID_FLAG", `The flag's value is invalid: ${fault}`);
}

/**
 * Returns the side of a connection. It needs no store: the steps say which percentage applied when the connection began. A
 * later higher percentage leaves it there, and a later lower one moves it back.
 * @param point the connection's place from 0 up to 100; see `placeOf`
 * @param connectedAt ms since the epoch
 */
export function sideOf(steps: readonly FlagStep[], point: number, connectedAt: number): Side {
  const first = steps.findLastIndex(({ since }) => since <= connectedAt);
  const began = steps[first]?.percent ?? 0;
  const percent = steps.slice(first + 1).reduce((lowest, step) => Math.min(lowest, step.percent), began);
  return point < percent ? "new" : "old";
}

/** Options of `withPercent`. */
export interface WithPercentOptions {
  /**
   * Time until a higher percentage applies, in ms. Longer than every process caches the flag, so that all of them know it by
   * then: otherwise the first events of a connection could go to different sides. Default 60,000; minimum 10,000.
   */
  readonly leadMs?: number;
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Returns a flag's value with another percentage. A higher one applies to connections that begin after `leadMs`; a lower one
 * applies at once, to open connections too. A change that has not been applied yet is replaced.
 * @param value the current value, as it is in the flag's source
 * @throws {RolloutError} INVALID_OPTION for a percentage outside of 0 to 100, INVALID_FLAG for a malformed value
 * @example
 * let value = withPercent(undefined, 5); // begin
 * value = withPercent(value, 25); // promote
 * value = withPercent(value, 0); // roll back
 */
export function withPercent(
  value: string | undefined,
  percent: number,
  { leadMs = DEFAULT_LEAD_MS, now = Date.now }: WithPercentOptions = {},
): string {
  if (!isPercentage(percent)) {
    throw new RolloutError("INVALID_OPTION", `\`percent\` must be a number from 0 to 100; got ${percent}`);
  }
  if (!(leadMs >= 10_000 && Number.isFinite(leadMs))) {
    throw new RolloutError("INVALID_OPTION", `\`leadMs\` must be a number of at least 10000; got ${leadMs}`);
  }
  const time = now();
  const applied = parseFlag(value).filter(({ since }) => since <= time);
  const current = applied.at(-1);
  const isLower = current !== undefined && percent < current.percent;
  // Dates are written in whole ms, and each is later than the one before.
  const since = Math.max(isLower ? time : time + leadMs, (current?.since ?? 0) + 1);
  const steps = current?.percent === percent ? applied : [...applied, { percent, since }];
  const recent = steps.filter((_, index) => (steps[index + 1]?.since ?? time) > time - HISTORY_MS);
  return JSON.stringify({
    steps: recent.map((step) => ({
      percent: step.percent,
      since: new Date(Math.max(step.since, 0)).toISOString(),
    })),
  });
}
