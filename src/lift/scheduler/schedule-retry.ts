import { atLeast, type OptionCheck, type OptionChecks } from "../../internal/options.ts";
import { checkOptions, invalidOption } from "../errors.ts";
import type { ScheduleRetry } from "./scheduled-action.ts";

/** Longest exponent of the backoff, so that it stays finite. */
const MAX_DOUBLINGS = 30;

/** Accepts a number of attempts. */
export const attemptCount: OptionCheck = {
  test: (value) => value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && Number(value) >= 1),
  expected: "an integer from 1, or `Infinity`",
};

const CHECKS: OptionChecks<ScheduleRetry> = {
  tries: attemptCount,
  firstMs: atLeast(1),
  longestMs: atLeast(1),
};

const DEFAULTS: Required<ScheduleRetry> = { tries: 20, firstMs: 1_000, longestMs: 300_000 };

/** @throws {LiftError} INVALID_OPTION */
export function readScheduleRetry(given: ScheduleRetry): Required<ScheduleRetry> {
  checkOptions(given, CHECKS, { prefix: "scheduleRetry." });
  const { tries = DEFAULTS.tries, firstMs = DEFAULTS.firstMs } = given;
  const longestMs = given.longestMs ?? Math.max(DEFAULTS.longestMs, firstMs);
  if (longestMs >= firstMs && Number.isFinite(longestMs)) return { tries, firstMs, longestMs };
  throw invalidOption("`scheduleRetry.longestMs` must be finite and at least `firstMs`");
}

/**
 * Returns the delay before the next attempt, in ms. It doubles with each failure, and half of it is random, so that items
 * that failed together are not due together.
 * @param failures 1 or more
 */
export function backoffMs({ firstMs, longestMs }: Required<ScheduleRetry>, failures: number): number {
  const longest = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
  return (longest * (1 + Math.random())) / 2;
}
