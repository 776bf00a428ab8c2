import { isRecord } from "../../internal/options.ts";
import { LambdaEmulatorError } from "../errors.ts";

/** A rule for a value: an equal value, `{ prefix }`, or `{ exists }`. */
export type FilterRule =
  | string
  | number
  | boolean
  | null
  | { readonly prefix: string }
  | { readonly exists: boolean };

/** A filter pattern of an event source mapping or a rule of EventBridge, with the operators of {@link FilterRule}. */
export interface FilterPattern {
  readonly [field: string]: FilterPattern | readonly FilterRule[];
}

/** Creates a function that returns whether a record or an event matches. @throws {LambdaEmulatorError} INVALID_OPTION */
export function createFilter(pattern: FilterPattern): (value: unknown) => boolean {
  assertPattern(pattern);
  return (value) => matchesPattern(pattern, value);
}

function matchesPattern(pattern: FilterPattern, value: unknown): boolean {
  return Object.entries(pattern).every(([field, rules]) => {
    const found = isRecord(value) && Object.hasOwn(value, field) ? value[field] : undefined;
    if (!isRules(rules)) return matchesPattern(rules, found);
    // One element of a list is enough.
    const values: readonly unknown[] = Array.isArray(found) ? found : [found];
    return rules.some((rule) => values.some((value) => matchesRule(rule, value)));
  });
}

function matchesRule(rule: FilterRule, value: unknown): boolean {
  if (rule === null || typeof rule !== "object") return rule === value;
  if ("exists" in rule) return rule.exists === (value !== undefined && !isRecord(value));
  return typeof value === "string" && value.startsWith(rule.prefix);
}

function assertPattern(pattern: unknown): void {
  if (!isRecord(pattern)) throw invalid(pattern);
  for (const rules of Object.values(pattern)) {
    if (!Array.isArray(rules)) assertPattern(rules);
    else if (rules.length === 0 || !rules.every(isRule)) throw invalid(rules);
  }
}

function isRule(rule: unknown): boolean {
  if (!isRecord(rule)) return rule === null || ["string", "number", "boolean"].includes(typeof rule);
  const [name, ...more] = Object.keys(rule);
  if (more.length > 0) return false;
  return name === "prefix" ? typeof rule.prefix === "string" : typeof rule.exists === "boolean";
}

function isRules(rules: FilterPattern | readonly FilterRule[]): rules is readonly FilterRule[] {
  return Array.isArray(rules);
}

function invalid(value: unknown): LambdaEmulatorError {
  const expected = "a list of values, { prefix } or { exists } for each field";
  return new LambdaEmulatorError(
    "INVALID_OPTION",
    `\`filter\` must have ${expected}; got ${JSON.stringify(value)}`,
  );
}
