import { BlockList, isIP } from "node:net";
import { canonicalAddress } from "../../internal/ip-address.ts";
import { isRecord } from "../../internal/options.ts";
import { matchesArn, matchesWildcards } from "./wildcards.ts";

/**
 * The values of condition keys. A key with an empty list is absent from the request. A key that is missing here has no known
 * value, so a condition with it cannot be evaluated.
 */
export interface PolicyContext {
  readonly [key: string]: string | readonly string[];
}

/** A condition of a statement, on one key. */
export interface PolicyCondition {
  readonly key: string;
  /** @param values those of the key in the request; none if it is absent */
  readonly holds: (values: readonly string[]) => boolean;
}

type Test = (actual: string) => boolean;
/** Returns the test of one expected value, or `undefined` if the value is invalid. */
type Compare = (expected: string) => Test | undefined;

/** Their requests have several values, so that a comparison needs `ForAllValues` or `ForAnyValue`. */
const MULTIVALUED = ["aws:tagkeys", "dynamodb:attributes", "dynamodb:leadingkeys"];
const NEGATED = /^(String|Numeric|Date|Arn)Not|^Not(IpAddress)/;

const COMPARISONS: ReadonlyMap<string, Compare> = new Map<string, Compare>([
  ["StringEquals", (expected) => (actual) => actual === expected],
  ["StringEqualsIgnoreCase", (expected) => (actual) => actual.toLowerCase() === expected.toLowerCase()],
  ["StringLike", (expected) => (actual) => matchesWildcards(expected, actual)],
  ["ArnEquals", compareArns],
  ["ArnLike", compareArns],
  [
    "Bool",
    (expected) =>
      /^(?:true|false)$/i.test(expected)
        ? (actual) => actual.toLowerCase() === expected.toLowerCase()
        : undefined,
  ],
  ["IpAddress", compareAddresses],
  ...ordered("Numeric", toNumber),
  ...ordered("Date", toTime),
]);

/**
 * Parses the `Condition` of a statement.
 * @returns the conditions, which must all hold, or the fault as a text
 */
export function parseConditions(condition: unknown): readonly PolicyCondition[] | string {
  if (!isRecord(condition)) return "`Condition` must be a map of operators";
  const parsed: PolicyCondition[] = [];
  for (const [operator, keys] of Object.entries(condition)) {
    if (!isRecord(keys)) return `\`Condition.${operator}\` must be a map of keys`;
    for (const [key, expected] of Object.entries(keys)) {
      const values = Array.isArray(expected) ? expected : [expected];
      if (
        values.length === 0 ||
        !values.every((each) => ["string", "number", "boolean"].includes(typeof each))
      ) {
        return `The value of \`${operator}\` for \`${key}\` must be a text or a list of texts`;
      }
      const one = parseCondition(operator, key, values.map(String));
      if (typeof one === "string") return one;
      parsed.push(one);
    }
  }
  return parsed;
}

function parseCondition(
  operator: string,
  key: string,
  expected: readonly string[],
): PolicyCondition | string {
  if (operator === "Null") return parseNull(key, expected);
  const [, quantifier, whole = "", ifExists] =
    /^(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?$/.exec(operator) ?? [];
  const negated = NEGATED.test(whole);
  const compare = COMPARISONS.get(whole.replace(NEGATED, "$1$2"));
  if (compare === undefined) return `The operator \`${operator}\` cannot be evaluated`;
  if (quantifier === undefined && MULTIVALUED.includes(key.toLowerCase())) {
    return `The key \`${key}\` has several values and needs \`ForAllValues:${operator}\` or \`ForAnyValue:${operator}\``;
  }
  const tests = expected.map(compare);
  const invalid = tests.indexOf(undefined);
  if (invalid !== -1) return `\`${operator}\` cannot compare with \`${expected[invalid]}\``;
  const passes = (actual: string) => tests.some((test) => test!(actual)) !== negated;
  const holds = (values: readonly string[]): boolean => {
    if (values.length === 0)
      return ifExists !== undefined || quantifier === "ForAllValues" || (quantifier === undefined && negated);
    return quantifier === "ForAnyValue" ? values.some(passes) : values.every(passes);
  };
  return { key: key.toLowerCase(), holds };
}

function parseNull(key: string, expected: readonly string[]): PolicyCondition | string {
  if (!expected.every((each) => each === "true" || each === "false")) return "`Null` takes true or false";
  const texts: readonly string[] = expected;
  return { key: key.toLowerCase(), holds: (values) => texts.includes(String(values.length === 0)) };
}

function compareArns(expected: string): Test | undefined {
  // ArnEquals has wildcards, too.
  return expected.startsWith("arn:") || expected === "*"
    ? (actual) => expected === "*" || matchesArn(expected, actual)
    : undefined;
}

function compareAddresses(expected: string): Test | undefined {
  const [address = "", prefix, ...more] = expected.split("/");
  const version = isIP(address);
  const bits = version === 6 ? 128 : 32;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : bits + 1;
  if (version === 0 || length > bits || more.length > 0) return undefined;
  const range = new BlockList();
  range.addSubnet(address, length, version === 6 ? "ipv6" : "ipv4");
  return (actual) => {
    const canonical = canonicalAddress(actual);
    return canonical !== undefined && range.check(canonical, isIP(canonical) === 6 ? "ipv6" : "ipv4");
  };
}

function ordered(type: string, parse: (text: string) => number): [string, Compare][] {
  const orders: readonly (readonly [string, (actual: number, expected: number) => boolean])[] = [
    ["Equals", (actual, expected) => actual === expected],
    ["LessThan", (actual, expected) => actual < expected],
    ["LessThanEquals", (actual, expected) => actual <= expected],
    ["GreaterThan", (actual, expected) => actual > expected],
    ["GreaterThanEquals", (actual, expected) => actual >= expected],
  ];
  return orders.map(([name, test]) => [
    `${type}${name}`,
    (text) => {
      const expected = parse(text);
      return Number.isNaN(expected) ? undefined : (actual) => test(parse(actual), expected);
    },
  ]);
}

function toNumber(text: string): number {
  return text.trim() === "" ? Number.NaN : Number(text);
}

/** Parses ISO 8601 or seconds since the epoch. */
function toTime(text: string): number {
  if (/^\d+$/.test(text)) return Number(text) * 1_000;
  return /^\d{4}-/.test(text) ? Date.parse(text) : Number.NaN;
}
