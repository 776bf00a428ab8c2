import { LiftError } from "../lift/index.ts";

export interface Check {
  readonly test: (value: unknown) => boolean;
  /** What the option takes, for who gave something else. */
  readonly takes: string;
}

export const FUNCTION: Check = { test: (value) => typeof value === "function", takes: "a function" };
export const FLAG: Check = { test: (value) => typeof value === "boolean", takes: "true or false" };
export const RECORD: Check = { test: isRecord, takes: "an object" };

export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Check {
  const test = (value: unknown) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
  return { test, takes: `an integer from ${min} to ${max}` };
}

export function isRecord(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param where the options are, for messages: `"channels.room."`
 * @throws {LiftError} INVALID_OPTION: a name that is not among `checks`, or a value that its check refuses
 */
export function checkOptions(options: unknown, checks: { readonly [name: string]: Check }, where = ""): void {
  if (!isRecord(options)) throw invalid(`Options are missing${where && ` at ${where.slice(0, -1)}`}`);
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) {
      throw invalid(`Unknown option ${where}${name}; there are ${Object.keys(checks).join(", ")}`);
    }
    if (value !== undefined && !check.test(value)) throw invalid(`${where}${name} takes ${check.takes}`);
  }
}

export function invalid(message: string): LiftError {
  return new LiftError("INVALID_OPTION", { message });
}
