/** Describes the values that an option accepts. */
export interface OptionCheck {
  readonly test: (value: unknown) => boolean;
  /** Completes the sentence "`name` must be …", such as "an integer from 1 to 10". */
  readonly expected: string;
}

/** One check for each option. */
export type OptionChecks<Options extends object> = {
  readonly [Name in keyof Required<Options>]: OptionCheck;
};

/**
 * Finds the first fault of an options object: an unknown name, an invalid value or a missing required option.
 * An option that is `undefined` counts as absent.
 * @param prefix of the names in the message, such as `channels.room.`; default none
 * @returns the error message without the value, unless it is a number or a boolean, because a text or an object may hold a
 * secret; `undefined` when the options are valid
 * @example
 * const fault = findOptionFault({ timeoutMs: 0 }, { timeoutMs: integer(1) });
 * // "`timeoutMs` must be an integer from 1; got 0"
 */
export function findOptionFault(
  options: unknown,
  checks: { readonly [name: string]: OptionCheck },
  { prefix = "", required = [] }: { readonly prefix?: string; readonly required?: readonly string[] } = {},
): string | undefined {
  if (!isRecord(options)) {
    return `${prefix === "" ? "Options" : `\`${prefix.slice(0, -1)}\``} must be an object; got ${kindOf(options)}`;
  }
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) {
      return `Unknown option \`${prefix}${name}\`; expected one of ${Object.keys(checks).join(", ")}`;
    }
    if (value === undefined || check.test(value)) continue;
    return `\`${prefix}${name}\` must be ${check.expected}; got ${kindOf(value)}`;
  }
  const missing = required.find((name) => options[name] === undefined);
  if (missing === undefined) return undefined;
  return `\`${prefix}${missing}\` is required: ${checks[missing]?.expected ?? "a value"}`;
}

function kindOf(value: unknown): string {
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return "an array";
  if (value === undefined) return "nothing";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** Returns whether a value is an object and not an array. */
export function isRecord(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Accepts functions. */
export const anyFunction: OptionCheck = {
  test: (value) => typeof value === "function",
  expected: "a function",
};
/** Accepts booleans. */
export const boolean: OptionCheck = {
  test: (value) => typeof value === "boolean",
  expected: "true or false",
};
/** Accepts objects that are not arrays. */
export const record: OptionCheck = { test: isRecord, expected: "an object" };
/** Accepts non-empty strings. */
export const text: OptionCheck = {
  test: (value) => typeof value === "string" && value !== "",
  expected: "a non-empty string",
};

/** Accepts whole numbers in a range that includes both ends. */
export function integer(min: number, max?: number): OptionCheck {
  return {
    test: (value) =>
      Number.isSafeInteger(value) && Number(value) >= min && (max === undefined || Number(value) <= max),
    expected: `an integer from ${min}${max === undefined ? "" : ` to ${max}`}`,
  };
}

/** Accepts numbers, fractions and `Infinity` included, that are `min` or more. */
export function atLeast(min: number): OptionCheck {
  return {
    test: (value) => typeof value === "number" && value >= min,
    expected: `a number of at least ${min}`,
  };
}

/** Accepts arrays whose items all pass `item`. */
export function arrayOf(item: (value: unknown) => boolean, expected: string): OptionCheck {
  return { test: (value) => Array.isArray(value) && value.every(item), expected };
}

/** Accepts objects, class instances included, with these methods. */
export function withMethods(...names: readonly string[]): OptionCheck {
  return {
    test: (value) =>
      typeof value === "object" &&
      value !== null &&
      names.every((name) => typeof (value as { readonly [name: string]: unknown })[name] === "function"),
    expected: `an object with ${names.map((name) => `${name}()`).join(", ")}`,
  };
}

/** Accepts what either check accepts. */
export function either(first: OptionCheck, second: OptionCheck): OptionCheck {
  return {
    test: (value) => first.test(value) || second.test(value),
    expected: `${first.expected}, or ${second.expected}`,
  };
}

/** Accepts a Standard Schema. */
export const standardSchema: OptionCheck = {
  // Some validators are functions.
  test: (value) =>
    Object(value) === value && isRecord((value as { readonly "~standard"?: unknown })["~standard"]),
  expected: "a Standard Schema",
};
