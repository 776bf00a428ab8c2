import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TemplateError } from "../errors.ts";
import { parseText } from "./parse-text.ts";
import { readTemplate } from "./read-template.ts";
import { resolveTemplate } from "./resolve-template.ts";

/** Returns the value of one property, written in YAML. */
function propertyOf(yaml: string) {
  const { resources } = readTemplate(`Resources:\n  A:\n    Type: X\n    Properties:\n      P: ${yaml}\n`);
  return (resources.get("A")!.properties as { P: unknown }).P;
}

describe("YAML", () => {
  it.each([
    ["!Ref B", { Ref: "B" }],
    ["!Condition B", { Condition: "B" }],
    ["!GetAtt B.Arn", { "Fn::GetAtt": "B.Arn" }],
    ["!Sub '${B}-x'", { "Fn::Sub": "${B}-x" }],
    ["!Join [',', [a, !Ref B]]", { "Fn::Join": [",", ["a", { Ref: "B" }]] }],
    ["!If [C, !Ref A, !Ref 'AWS::NoValue']", { "Fn::If": ["C", { Ref: "A" }, { Ref: "AWS::NoValue" }] }],
    ["!Base64 { 'Fn::Sub': x }", { "Fn::Base64": { "Fn::Sub": "x" } }],
    ["!GetAZs ''", { "Fn::GetAZs": "" }],
    ["!Ref 12", { Ref: "12" }],
    ["!!str 12", "12"],
  ])("reads %s", (yaml, expected) => {
    expect(propertyOf(yaml)).toEqual(expected);
  });

  it.each([
    ["2012-10-17", "2012-10-17"],
    ["000000000000", "000000000000"],
    ["012345678901", "012345678901"],
    ["123456789012345678901234", "123456789012345678901234"],
    [".inf", ".inf"],
    ["30", 30],
    ["1.5", 1.5],
    ["true", true],
    ["on", "on"],
    ["'30'", "30"],
    ["{ 0123: a, 1: b, true: c }", { "0123": "a", "1": "b", true: "c" }],
    ["{ __proto__: a }", Object.fromEntries([["__proto__", "a"]])],
  ])("reads the scalars of %s", (yaml, expected) => {
    expect(propertyOf(yaml)).toEqual(expected);
  });
});

it("reads JSON as `JSON.parse` does", () => {
  const scalar = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.boolean(),
    // Larger integers stay texts, because a number cannot hold all of their digits.
    fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .filter((each) => !Number.isInteger(each) || Number.isSafeInteger(each)),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: "small" },
      scalar,
      fc.array(tie("tree")),
      fc.dictionary(fc.string({ unit: "binary" }), tie("tree")),
    ),
  }));
  const indents = fc.constantFrom(undefined, 1, 2, "\t");
  fc.assert(
    fc.property(tree, indents, (value, indent) => {
      const text = JSON.stringify({ value }, null, indent);
      expect(parseText(text, "t").value).toEqual(JSON.parse(text));
    }),
  );
});

it("keeps the line of each resource, in JSON and in YAML", () => {
  const yaml = "# comment\nResources:\n  A:\n    Type: X\n  B:\n\n    Type: Y\n";
  const json = '{\n "Resources": {\n  "A": { "Type": "X" },\n\n  "B":\n  { "Type": "Y" } } }';
  for (const text of [yaml, json]) {
    const { resources } = readTemplate(text);
    expect([...resources].map(([id, { line }]) => [id, line])).toEqual([
      ["A", 3],
      ["B", 5],
    ]);
  }
});

const RESOURCE = "Resources:\n  A:\n    Type: X\n";

it.each([
  ["an empty text", "", "TEMPLATE_SYNTAX", "t: The template is empty"],
  ["a text that is not a map", "hello", "TEMPLATE_INVALID", "t: A template must be a map"],
  ["a template without resources", "Outputs: {}", "TEMPLATE_INVALID", "t: The template has no `Resources`"],
  ["resources that are a list", "Resources: [a]", "TEMPLATE_INVALID", "t:1: `Resources` must be a map"],
  [
    "an unknown section",
    `${RESOURCE}Output: {}`,
    "TEMPLATE_INVALID",
    "t: Unknown section `Output`; expected one of ",
  ],
  [
    "a resource without a type",
    "Resources:\n  A:\n    Typo: X",
    "TEMPLATE_INVALID",
    "t:2: A: Unknown attribute `Typo`",
  ],
  [
    "a type that is a map",
    "Resources:\n  A:\n    Type: { Ref: X }",
    "TEMPLATE_INVALID",
    "t:2: A: `Type` must be a text",
  ],
  [
    "properties that are a list",
    `${RESOURCE}    Properties: [a]`,
    "TEMPLATE_INVALID",
    "t:2: A: `Properties` must be a map",
  ],
  [
    "a logical ID with a hyphen",
    "Resources:\n  a-b:\n    Type: X",
    "TEMPLATE_INVALID",
    "t:2: a-b: A logical ID has letters and digits only",
  ],
  [
    "a property without a value",
    `${RESOURCE}    Properties:\n      Name:\n`,
    "TEMPLATE_INVALID",
    "t:5: Null values are not allowed: `Name` has no value",
  ],
  ["YAML that ends in a list", `${RESOURCE}    Properties: [a, `, "TEMPLATE_SYNTAX", "t:4: Invalid YAML: "],
  ["YAML that ends in a key", `${RESOURCE}    Proper`, "TEMPLATE_SYNTAX", "t:4: Invalid YAML: "],
  [
    "YAML that ends in a text",
    `${RESOURCE}    Properties:\n      Name: "ab`,
    "TEMPLATE_SYNTAX",
    "t:5: Invalid YAML: ",
  ],
  ["a duplicate key in YAML", `${RESOURCE}  A:\n    Type: Y`, "TEMPLATE_SYNTAX", "t:4: Duplicate key"],
  [
    "a duplicate key in JSON",
    '{"Resources":{"A":{"Type":"X"},\n"A":{"Type":"Y"}}}',
    "TEMPLATE_SYNTAX",
    "t:2: Duplicate key",
  ],
  [
    "JSON with a missing comma",
    '{\n"Resources": {}\n"Outputs": {} }',
    "TEMPLATE_SYNTAX",
    "t:3: Invalid JSON: ",
  ],
  [
    "JSON with a value without quotes",
    '{\n"Resources": {"a": b},\n"Outputs": {} }\n\n',
    "TEMPLATE_SYNTAX",
    "t:2: Invalid JSON: Unexpected token 'b'",
  ],
  [
    "JSON with no value",
    '{\n"Resources":\n}\n\n',
    "TEMPLATE_SYNTAX",
    "t:3: Invalid JSON: Unexpected token '}'",
  ],
  [
    "JSON with a cut word",
    '{\n"Resources": tru\n}\n\n',
    "TEMPLATE_SYNTAX",
    "t:2: Invalid JSON: Unexpected token '\\n'",
  ],
  [
    "JSON with a byte order mark and a comma too much",
    '\ufeff{\n"Resources": {},\n}\n\n',
    "TEMPLATE_SYNTAX",
    "t:3: Invalid JSON: ",
  ],
  ["JSON that ends before a value", '{\n"Resources":', "TEMPLATE_SYNTAX", "t:2: Invalid JSON: "],
  ["a null in JSON", '{"Resources":\n{"A": null}}', "TEMPLATE_INVALID", "t:2: Null values are not allowed"],
  [
    "a null in a list",
    '{"Resources":\n{"A": [null]}}',
    "TEMPLATE_INVALID",
    "t:2: Null values are not allowed",
  ],
  ["a key that is a list", "Resources:\n  [a]: b", "TEMPLATE_INVALID", "t:2: A key must be a text"],
  ["an empty key", "Resources:\n  : b", "TEMPLATE_INVALID", "t:2: A key must be a text"],
  ["a key with a tag", "Resources:\n  !Ref a: b", "TEMPLATE_INVALID", "t:2: A key must be a text"],
  ["more than 500 resources", resources(501), "TEMPLATE_INVALID", "t: A template has at most 500 resources"],
  ["JSON that ends early", '{\n"Resources": {', "TEMPLATE_SYNTAX", "t:2: Invalid JSON: "],
  [
    "an alias",
    `${RESOURCE}    Properties: { A: &a x, B: *a }`,
    "TEMPLATE_INVALID",
    "t:4: CloudFormation has no YAML aliases",
  ],
  [
    "a tag of YAML's own",
    `${RESOURCE}    Properties: { A: !!binary eA== }`,
    "TEMPLATE_INVALID",
    "t:4: Unknown tag `tag:yaml.org,2002:binary`",
  ],
  [
    "a deep template",
    `a: ${"[".repeat(150)}${"]".repeat(150)}`,
    "TEMPLATE_INVALID",
    "t:1: Nested more than 100 levels",
  ],
  [
    "a template that overflows the parser",
    `a: ${"[".repeat(20_000)}`,
    "TEMPLATE_SYNTAX",
    "t:1: Invalid YAML: Maximum call stack size exceeded",
  ],
  [
    "a template above the quota",
    `a: ${"x".repeat(1_048_576)}`,
    "TEMPLATE_INVALID",
    "t: The template is larger than 1048576 bytes",
  ],
  [
    "a macro",
    `Transform: [Mine]\n${RESOURCE}`,
    "TEMPLATE_UNSUPPORTED",
    "t: The transform `Mine` is not expanded on this machine. Only AWS::LanguageExtensions",
  ],
  [
    "a loop of resources",
    "Resources:\n  Fn::ForEach::A: [a, [b], {}]",
    "TEMPLATE_UNSUPPORTED",
    "t:1: `Fn::ForEach::A` is not expanded here",
  ],
])("rejects %s", (_name, text, code, message) => {
  const error = errorOf(() => readTemplate(text, "t"));
  expect(error).toMatchObject({ code });
  expect(error.message.slice(0, message.length)).toBe(message);
});

it.each([
  ["JSON", '{"Resources": {"A": {"Type": "AWS::SNS::Topic"}}}'],
  ["YAML", "Resources: { A: { Type: AWS::SNS::Topic } }"],
])("reads %s with a byte order mark", (_, text) => {
  expect([...readTemplate(`\ufeff${text}`).resources.keys()]).toEqual(["A"]);
});

it("names the line of a fault in JSON, for any fault in any line", () => {
  const lines = JSON.stringify(
    { Resources: { A: { Type: "X", Properties: { a: [1, -2.5e3, true], b: "c\\d" } } } },
    null,
    1,
  ).split("\n");
  const fault = fc.constantFrom("x", "'a'", "//", "?", '"a" "b"', ",,", "tru,", "01,");
  fc.assert(
    fc.property(fc.nat(lines.length - 2), fault, (at, put) => {
      const text = lines.map((line, index) => (index === at + 1 ? put + line : line)).join("\n");
      expect(errorOf(() => readTemplate(text, "t")).message).toMatch(
        new RegExp(`^t:${at + 2}: Invalid JSON: [^\n]+$`),
      );
    }),
  );
});

it("throws nothing but template errors, for any text and any cut of a template", () => {
  const whole = [
    "Parameters:\n  P: { Type: String, Default: a }\nConditions:\n  C: !Equals [!Ref P, a]\nMappings:\n  M: { a: { b: c } }",
    "Resources:\n  A:\n    Type: AWS::S3::Bucket\n    Condition: C\n    Properties:\n      BucketName: !Sub '${P}-${B.Arn}'",
    "  B:\n    Type: AWS::SNS::Topic\n    Properties:\n      X: !If [C, !FindInMap [M, a, b], !Select [0, !Split ['.', a.b]]]",
    "Outputs:\n  O:\n    Value: !Join ['', [!Ref A, '${'}]]\n",
  ].join("\n");
  const edits = fc.array(
    fc.tuple(
      fc.nat(whole.length),
      fc.nat(9),
      fc.oneof(fc.constantFrom(..."!{}[]:&*#'\"\n ", "Fn::", "!Ref ", "!Sub "), fc.string()),
    ),
    { maxLength: 4 },
  );
  const edited = edits.map((all) =>
    all.reduce((text, [at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut), whole),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        edited,
        fc.nat(whole.length).map((length) => whole.slice(0, length)),
        fc.string(),
      ),
      (text) => {
        try {
          resolveTemplate(readTemplate(text), { stackName: "s" });
        } catch (error) {
          expect(error).toBeInstanceOf(TemplateError);
        }
      },
    ),
    { numRuns: 300 },
  );
});

/** Returns a template with so many resources. */
function resources(count: number): string {
  return `Resources:\n${Array.from({ length: count }, (_, index) => `  R${index}: { Type: X }\n`).join("")}`;
}

it("accepts 500 resources", () => {
  expect(readTemplate(resources(500)).resources.size).toBe(500);
});

function errorOf(run: () => unknown): TemplateError {
  try {
    run();
  } catch (error) {
    return error as TemplateError;
  }
  throw new Error("It did not throw");
}
