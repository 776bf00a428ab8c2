import { LocalError } from "../errors.ts";
import type { StreamRecord } from "./record.ts";

/** What a value may be: one of the list, or `{ prefix }`, or, with `{ exists: false }`, not there. */
export type FilterRule =
  | string
  | number
  | boolean
  | null
  | { readonly prefix: string }
  | { readonly exists: boolean };

/** A pattern of an event source mapping's filter: of those operators that stand here. */
export interface FilterPattern {
  readonly [field: string]: FilterPattern | readonly FilterRule[];
}

/** Tells the records that a function is to get. @throws {LocalError} INVALID_OPTION */
export function streamFilter(pattern: FilterPattern): (record: StreamRecord) => boolean {
  check(pattern);
  return (record) => matches(pattern, record);
}

function matches(pattern: FilterPattern, value: unknown): boolean {
  return Object.entries(pattern).every(([field, rules]) => {
    const found = isRecord(value) && Object.hasOwn(value, field) ? value[field] : undefined;
    return isRules(rules) ? rules.some((rule) => allows(rule, found)) : matches(rules, found);
  });
}

function allows(rule: FilterRule, value: unknown): boolean {
  if (rule === null || typeof rule !== "object") return rule === value;
  if ("exists" in rule) return rule.exists === (value !== undefined && !isRecord(value));
  return typeof value === "string" && value.startsWith(rule.prefix);
}

function check(pattern: unknown): void {
  if (!isRecord(pattern)) throw invalid(pattern);
  for (const rules of Object.values(pattern)) {
    if (!Array.isArray(rules)) check(rules);
    else if (rules.length === 0 || !rules.every(isRule)) throw invalid(rules);
  }
}

function isRule(rule: unknown): boolean {
  if (!isRecord(rule)) return rule === null || ["string", "number", "boolean"].includes(typeof rule);
  const [name, ...others] = Object.keys(rule);
  if (others.length > 0) return false;
  return name === "prefix" ? typeof rule.prefix === "string" : typeof rule.exists === "boolean";
}

function isRules(rules: FilterPattern | readonly FilterRule[]): rules is readonly FilterRule[] {
  return Array.isArray(rules);
}

function isRecord(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(part: unknown): LocalError {
  const takes = "a list of values, { prefix } or { exists } for each field";
  return new LocalError("INVALID_OPTION", `A stream's filter takes ${takes}, not ${JSON.stringify(part)}`);
}
