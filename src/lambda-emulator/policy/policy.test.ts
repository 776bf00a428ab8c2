import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TemplateError } from "../errors.ts";
import type { PolicyContext } from "./condition.ts";
import { isAllowed, type Policy, parsePolicy } from "./policy.ts";
import { matchesArn, matchesResource, matchesWildcards } from "./wildcards.ts";

const TABLE = "arn:aws:dynamodb:eu-west-1:000000000000:table/chat";
const PUT = { action: "dynamodb:PutItem", resource: TABLE };
const ALLOW_ALL = { Effect: "Allow", Action: "*", Resource: "*" };

function policy(...statements: readonly object[]): Policy {
  return parsePolicy({ Version: "2012-10-17", Statement: statements }, "P", {
    file: "t",
    resource: "R",
    line: 7,
  });
}

describe("a request", () => {
  it.each<[string, object[], true | string]>([
    [
      "allows by action and resource",
      [{ Effect: "Allow", Action: "dynamodb:PutItem", Resource: TABLE }],
      true,
    ],
    ["ignores the case of actions", [{ Effect: "Allow", Action: "DynamoDB:putitem", Resource: TABLE }], true],
    [
      "allows by wildcards",
      [{ Effect: "Allow", Action: "dynamodb:*Item", Resource: "arn:aws:dynamodb:*:*:table/ch??" }],
      true,
    ],
    [
      "allows by one of several",
      [{ Effect: "Allow", Action: ["s3:*", "dynamodb:Put*"], Resource: ["*"] }],
      true,
    ],
    ["allows by `NotAction`", [{ Effect: "Allow", NotAction: "dynamodb:DeleteItem", Resource: "*" }], true],
    ["allows by `NotResource`", [{ Effect: "Allow", Action: "*", NotResource: `${TABLE}/index/*` }], true],
    [
      "does not allow another action",
      [{ Effect: "Allow", Action: "dynamodb:GetItem", Resource: TABLE }],
      "because no identity-based policy allows the dynamodb:PutItem action on ",
    ],
    [
      "does not allow another resource",
      [{ Effect: "Allow", Action: "*", Resource: `${TABLE}2` }],
      "because no identity-based policy allows",
    ],
    [
      "does not allow an index's table",
      [{ Effect: "Allow", Action: "*", Resource: `${TABLE}/index/*` }],
      "because no identity-based policy allows",
    ],
    [
      "minds the case of resources",
      [{ Effect: "Allow", Action: "*", Resource: TABLE.replace("chat", "Chat") }],
      "because",
    ],
    [
      "does not allow by `NotAction` that names it",
      [{ Effect: "Allow", NotAction: "dynamodb:Put*", Resource: "*" }],
      "because",
    ],
    [
      "denies explicitly, by the statement's name",
      [ALLOW_ALL, { Sid: "NoPut", Effect: "Deny", Action: "dynamodb:Put*", Resource: "*" }],
      "with an explicit deny in an identity-based policy: statement NoPut of P",
    ],
    [
      "denies explicitly, by the statement's number",
      [{ Effect: "Deny", Action: "*", Resource: "*" }, ALLOW_ALL],
      "with an explicit deny in an identity-based policy: statement 1 of P",
    ],
    [
      "is not denied under a condition that fails",
      [
        ALLOW_ALL,
        {
          Effect: "Deny",
          Action: "*",
          Resource: "*",
          Condition: { StringEquals: { "aws:SourceAccount": "1" } },
        },
      ],
      true,
    ],
    [
      "is denied under a condition that cannot be evaluated",
      [
        ALLOW_ALL,
        {
          Effect: "Deny",
          Action: "*",
          Resource: "*",
          Condition: { StringEquals: { "aws:PrincipalTag/x": "1" } },
        },
      ],
      "with an explicit deny in an identity-based policy: statement 2 of P; the key aws:principaltag/x in statement 2 of P has no value on this machine",
    ],
    [
      "is not allowed under a condition that cannot be evaluated",
      [{ ...ALLOW_ALL, Condition: { StringNotEquals: { "aws:PrincipalTag/x": "1" } } }],
      "because no identity-based policy allows the dynamodb:PutItem action on " +
        `${TABLE}; the key aws:principaltag/x in statement 1 of P has no value`,
    ],
    [
      "has no keys of another service",
      [{ ...ALLOW_ALL, Condition: { Null: { "iam:PassedToService": "true" } } }],
      true,
    ],
  ])("%s", (_name, statements, expected) => {
    const decision = isAllowed([policy(...statements)], { ...PUT, context: { "aws:SourceAccount": "0" } });
    if (expected === true) expect(decision).toEqual({ allowed: true });
    else expect(decision).toMatchObject({ allowed: false, reason: expect.stringContaining(expected) });
  });

  it("is allowed by one of several resources, in a single statement", () => {
    const Statement = { Effect: "Allow", Action: "*", Resource: ["arn:aws:s3:::b", TABLE] };
    const parsed = parsePolicy({ Version: "2012-10-17", Statement }, "P", { file: "t" });
    expect(isAllowed([parsed], PUT)).toEqual({ allowed: true });
  });

  it("may hold a text like a variable in the version that has none", () => {
    const Statement = { ...ALLOW_ALL, Condition: { StringNotEquals: { "aws:a": "${aws:username}" } } };
    const parsed = parsePolicy({ Version: "2008-10-17", Statement }, "P", { file: "t" });
    expect(isAllowed([parsed], { ...PUT, context: { "aws:a": "ann" } }).allowed).toBe(true);
  });

  it("is not allowed without a policy", () => {
    expect(isAllowed([], PUT)).toMatchObject({ allowed: false, explicit: false });
  });
});

describe("a condition", () => {
  const context: PolicyContext = {
    "aws:name": "Ann",
    "aws:number": "10",
    "aws:date": "2026-01-02T00:00:00Z",
    "aws:flag": "true",
    "aws:ip": "10.1.2.3",
    "aws:ip6": "2001:db8::1",
    "aws:arn": "arn:aws:sns:eu-west-1:0:topic:x",
    "aws:absent": [],
    "dynamodb:LeadingKeys": ["a", "b"],
    "aws:TagKeys": [],
  };

  it.each<[string, string, unknown, boolean]>([
    ["StringEquals", "aws:name", ["Bob", "Ann"], true],
    ["StringEquals", "AWS:Name", "ann", false],
    ["StringNotEquals", "aws:name", ["Bob", "Ann"], false],
    ["StringNotEquals", "aws:name", "Bob", true],
    ["StringEqualsIgnoreCase", "aws:name", "aNN", true],
    ["StringNotEqualsIgnoreCase", "aws:name", "aNN", false],
    ["StringLike", "aws:name", "A?n*", true],
    ["StringLike", "aws:arn", "arn:*:x", true],
    ["StringNotLike", "aws:name", "A*", false],
    ["NumericEquals", "aws:number", 10, true],
    ["NumericEquals", "aws:number", "10.0", true],
    ["NumericNotEquals", "aws:number", 10, false],
    ["NumericLessThan", "aws:number", 10, false],
    ["NumericLessThanEquals", "aws:number", 10, true],
    ["NumericGreaterThan", "aws:number", 9, true],
    ["NumericGreaterThan", "aws:name", 9, false],
    ["DateLessThan", "aws:date", "2026-01-03", true],
    ["DateGreaterThanEquals", "aws:date", "2026-01-02T00:00:00Z", true],
    ["DateGreaterThan", "aws:date", "1700000000", true],
    ["DateNotEquals", "aws:date", "2026-01-02", false],
    ["Bool", "aws:flag", true, true],
    ["Bool", "aws:flag", "false", false],
    ["Null", "aws:absent", "true", true],
    ["Null", "aws:name", true, false],
    ["Null", "aws:name", "false", true],
    ["IpAddress", "aws:ip", "10.1.0.0/16", true],
    ["IpAddress", "aws:ip", ["10.2.0.0/16", "10.1.2.3"], true],
    ["IpAddress", "aws:ip6", "2001:db8::/32", true],
    ["IpAddress", "aws:ip6", "0.0.0.0/0", false],
    ["IpAddress", "aws:name", "0.0.0.0/0", false],
    ["NotIpAddress", "aws:ip", "10.0.0.0/8", false],
    ["ArnLike", "aws:arn", "arn:aws:sns:*:0:topic:*", true],
    ["ArnLike", "aws:arn", "arn:aws:*:x", false],
    ["ArnEquals", "aws:arn", "arn:aws:sns:eu-*:*:*", true],
    ["ArnNotLike", "aws:arn", "arn:aws:sns:*:*:*", false],
    ["ArnNotEquals", "aws:arn", "arn:aws:sqs:*:*:*", true],
    ["StringEquals", "aws:absent", "a", false],
    ["StringNotEquals", "aws:absent", "a", true],
    ["StringEqualsIfExists", "aws:absent", "a", true],
    ["StringEqualsIfExists", "aws:name", "a", false],
    ["ForAllValues:StringEquals", "dynamodb:LeadingKeys", ["a", "b", "c"], true],
    ["ForAllValues:StringEquals", "dynamodb:LeadingKeys", ["a"], false],
    ["ForAllValues:StringLike", "dynamodb:LeadingKeys", ["?"], true],
    ["ForAllValues:StringNotEquals", "dynamodb:LeadingKeys", ["b"], false],
    ["ForAllValues:StringEquals", "aws:TagKeys", ["a"], true],
    ["ForAnyValue:StringEquals", "dynamodb:LeadingKeys", ["b"], true],
    ["ForAnyValue:StringEquals", "dynamodb:LeadingKeys", ["c"], false],
    ["ForAnyValue:StringNotEquals", "dynamodb:LeadingKeys", ["b"], true],
    ["ForAnyValue:StringEquals", "aws:TagKeys", ["a"], false],
    ["ForAnyValue:StringNotEquals", "aws:TagKeys", ["a"], false],
    ["ForAnyValue:StringEqualsIfExists", "aws:TagKeys", ["a"], true],
  ])("%s of %s with %j is %s", (operator, key, value, expected) => {
    const statement = { ...ALLOW_ALL, Condition: { [operator]: { [key]: value } } };
    expect(isAllowed([policy(statement)], { ...PUT, context }).allowed).toBe(expected);
  });

  it("holds if all of its operators and keys hold", () => {
    const both = (name: string) => ({
      ...ALLOW_ALL,
      Condition: { StringEquals: { "aws:name": name, "aws:number": "10" }, Bool: { "aws:flag": true } },
    });
    expect(isAllowed([policy(both("Ann"))], { ...PUT, context }).allowed).toBe(true);
    expect(isAllowed([policy(both("Bob"))], { ...PUT, context }).allowed).toBe(false);
  });
});

describe("a statement that cannot be evaluated", () => {
  it.each<[object, string]>([
    [
      { ...ALLOW_ALL, Condition: { BinaryEquals: { a: "b" } } },
      "The operator `BinaryEquals` cannot be evaluated",
    ],
    [
      { ...ALLOW_ALL, Condition: { StringEquls: { a: "b" } } },
      "The operator `StringEquls` cannot be evaluated",
    ],
    [{ ...ALLOW_ALL, Condition: { Bool: { a: "untrue" } } }, "`Bool` cannot compare with `untrue`"],
    [{ ...ALLOW_ALL, Condition: { Null: { a: "no" } } }, "`Null` takes true or false"],
    [{ ...ALLOW_ALL, Condition: { ArnLike: { a: "b" } } }, "`ArnLike` cannot compare with `b`"],
    [{ ...ALLOW_ALL, Condition: { DateEquals: { a: "b" } } }, "`DateEquals` cannot compare with `b`"],
    [{ ...ALLOW_ALL, Condition: { NumericEquals: { a: "b" } } }, "`NumericEquals` cannot compare with `b`"],
    [{ ...ALLOW_ALL, Condition: { IpAddress: { a: "10.0.0.0/33" } } }, "`IpAddress` cannot compare with"],
    [
      { ...ALLOW_ALL, Condition: { StringEquals: { a: {} } } },
      "The value of `StringEquals` for `a` must be a text",
    ],
    [{ ...ALLOW_ALL, Condition: "a" }, "`Condition` must be a map of operators"],
    [{ ...ALLOW_ALL, Action: ["*", 1] }, "`Action` must be a text or a list of texts"],
    [{ ...ALLOW_ALL, Resource: ["*", ""] }, "`Resource` must be a text or a list of texts"],
    [{ ...ALLOW_ALL, Condition: { Null: { a: ["true", "x"] } } }, "`Null` takes true or false"],
    [{ ...ALLOW_ALL, Condition: { Bool: { a: "trueish" } } }, "`Bool` cannot compare with `trueish`"],
    [{ ...ALLOW_ALL, Condition: { StringEquals: "a" } }, "`Condition.StringEquals` must be a map of keys"],
    [
      { ...ALLOW_ALL, Condition: { StringEquals: { "dynamodb:LeadingKeys": "a" } } },
      "The key `dynamodb:LeadingKeys` has several values and needs `ForAllValues:StringEquals`",
    ],
    [
      { ...ALLOW_ALL, Condition: { StringEquals: { a: "${aws:username}" } } },
      "The policy variable `${aws:username}` is not supported",
    ],
    [{ ...ALLOW_ALL, Principal: "*" }, "`Principal` belongs in the policy of a resource"],
    [{ ...ALLOW_ALL, Actions: "*" }, "Unknown element `Actions`"],
    [{ ...ALLOW_ALL, NotAction: "*" }, "A statement needs either `Action` or `NotAction`"],
    [{ Effect: "Allow", Action: "*" }, "A statement needs either `Resource` or `NotResource`"],
    [{ ...ALLOW_ALL, Effect: "allow" }, "`Effect` must be Allow or Deny"],
    [{ ...ALLOW_ALL, Action: [] }, "`Action` must be a text or a list of texts"],
    [{ ...ALLOW_ALL, Action: "PutItem" }, "Invalid action `PutItem`"],
    [{ ...ALLOW_ALL, Resource: "chat" }, "Invalid resource `chat`; expected an ARN"],
    ["Allow" as unknown as object, "A statement must be a map"],
  ])("is an error with the resource and the statement: %j", (statement, message) => {
    const sid = typeof statement === "object" ? { Sid: "Mine", ...statement } : statement;
    const name = typeof statement === "object" ? "Mine" : "2";
    const parse = () => policy(ALLOW_ALL, sid);
    expect(parse).toThrow(`t:7: R: Policy P: Statement ${name}: ${message}`);
    expect(parse).toThrow(expect.objectContaining({ code: "POLICY_INVALID", resource: "R", line: 7 }));
  });

  it("is named by its number without a `Sid`", () => {
    expect(() => policy({ ...ALLOW_ALL, Sid: "", Effect: "" })).toThrow("Policy P: Statement 1: `Effect`");
  });

  it.each([
    [undefined, "The document must be a map"],
    [{ Version: "2020-01-01", Statement: [] }, "`Version` must be 2012-10-17"],
    [{ Statements: [] }, "Unknown element `Statements`"],
  ])("is an error of the document: %j", (document, message) => {
    expect(() => parsePolicy(document, "P", { file: "t" })).toThrow(`t: Policy P: ${message}`);
  });
});

describe("wildcards", () => {
  /** Simple, but slow. */
  const reference = (pattern: string, text: string): boolean => {
    if (pattern === "") return text === "";
    const rest = pattern.slice(1);
    if (pattern[0] === "*")
      return reference(rest, text) || (text !== "" && reference(pattern, text.slice(1)));
    return text !== "" && (pattern[0] === "?" || pattern[0] === text[0]) && reference(rest, text.slice(1));
  };
  const text = fc.string({ unit: fc.constantFrom("a", "b", ":", "*", "?"), maxLength: 8 });

  it("match like a simple reference", () => {
    fc.assert(
      fc.property(text, text, (pattern, value) => {
        expect(matchesWildcards(pattern, value)).toBe(reference(pattern, value));
      }),
      { numRuns: 2_000 },
    );
  });

  it("match one character, also outside of the basic plane", () => {
    expect(matchesWildcards("a?c😀", "a😀c😀")).toBe(true);
  });

  it("take little time for a pattern with many stars", () => {
    const pattern = `${"*a".repeat(50)}b`;
    expect(matchesWildcards(pattern, "a".repeat(5_000))).toBe(false);
  });

  it.each([
    ["arn:aws:s3:::b/*", "arn:aws:s3:::b/x:y", true],
    ["arn:aws:s3:*:b", "arn:aws:s3:::b", true],
    ["arn:aws:logs:*:log", "arn:aws:logs:r:0:log", true],
    ["arn:aws:logs:r*x:log", "arn:aws:logs:r:x:log", false],
    ["arn:aws:logs:r*x:log", "arn:aws:logs:r-x:log", true],
  ])("in a resource span colons at the end of a segment only: %s, %s", (pattern, arn, expected) => {
    expect(matchesResource(pattern, arn)).toBe(expected);
  });

  it("in a condition on ARNs do not span its six parts", () => {
    expect(matchesArn("arn:aws:s3:::*", "arn:aws:s3:::b:c")).toBe(true);
    expect(matchesArn("arn:aws:*:b", "arn:aws:s3:::b")).toBe(false);
    expect(matchesArn("arn:aws:s3:::b:c", "arn:aws:s3:::b:d")).toBe(false);
    expect(matchesArn("arn:aws:s3:::b", "arn:aws:s3:::b:d")).toBe(false);
    expect(matchesArn("*", "arn:aws:s3:::b")).toBe(false);
  });
});

const anyValue = fc.oneof(
  fc.constantFrom("*", "dynamodb:PutItem", "dynamodb:Put*", "s3:*", TABLE, "arn:aws:s3:::*", "?", "", "a"),
  fc.jsonValue(),
);
const anyStatement = fc.record(
  {
    Effect: fc.constantFrom("Allow", "Deny", "No"),
    Action: anyValue,
    NotAction: anyValue,
    Resource: anyValue,
    NotResource: anyValue,
    Condition: fc.dictionary(
      fc.constantFrom("StringEquals", "Null", "Bool", "ForAllValues:StringLike", "IpAddress", "X"),
      fc.dictionary(fc.constantFrom("aws:a", "dynamodb:LeadingKeys"), anyValue),
    ),
  },
  { requiredKeys: ["Effect"] },
);

it("throws nothing but template errors for any document", () => {
  fc.assert(
    fc.property(
      fc.oneof(anyStatement, fc.jsonValue()),
      fc.constantFrom("2012-10-17", "2008-10-17", "x"),
      (statement, version) => {
        try {
          isAllowed([parsePolicy({ Version: version, Statement: statement }, "P", { file: "t" })], PUT);
        } catch (error) {
          expect(error).toBeInstanceOf(TemplateError);
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

it("never allows more with one more denial", () => {
  const pattern = fc.constantFrom("*", "dynamodb:PutItem", "dynamodb:Get*", "s3:*");
  const resource = fc.constantFrom("*", TABLE, `${TABLE}/index/*`, "arn:aws:s3:::b");
  const condition = fc.constantFrom(
    {},
    { StringEquals: { "aws:a": "1" } },
    { StringNotEquals: { "aws:a": "1" } },
    { Null: { "aws:b": "true" } },
    { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["a*"] } },
  );
  const statement = (effect: string) =>
    fc
      .tuple(pattern, resource, condition, fc.boolean(), fc.boolean())
      .map(([action, arn, Condition, notAction, notResource]) => ({
        Effect: effect,
        [notAction ? "NotAction" : "Action"]: action,
        [notResource ? "NotResource" : "Resource"]: arn,
        Condition,
      }));
  const request = fc.record({
    action: fc.constantFrom("dynamodb:PutItem", "dynamodb:GetItem", "s3:GetObject"),
    resource: fc.constantFrom(TABLE, `${TABLE}/index/a`, "arn:aws:s3:::b"),
    context: fc.record(
      { "aws:a": fc.constantFrom("1", "2"), "dynamodb:LeadingKeys": fc.constantFrom([], ["ab"], ["b"]) },
      { requiredKeys: [] },
    ),
  });
  let [before, after] = [0, 0];
  fc.assert(
    fc.property(
      fc.array(fc.oneof(statement("Allow"), statement("Deny")), { maxLength: 4 }),
      statement("Deny"),
      request,
      fc.nat(4),
      (statements, denial, asked, at) => {
        const first = isAllowed([policy(...statements)], asked).allowed;
        const second = isAllowed([policy(...statements.toSpliced(at, 0, denial))], asked).allowed;
        expect(second && !first).toBe(false);
        before += Number(first);
        after += Number(second);
      },
    ),
    { numRuns: 2_000 },
  );
  expect(after).toBeGreaterThan(0);
  expect(after).toBeLessThan(before);
});
