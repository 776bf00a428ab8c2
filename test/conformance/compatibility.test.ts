// Checks COMPATIBILITY.md. Each row of its tables describes a behaviour and names its tests in the last column, by title
// in backticks: `refuses the upgrade with the handler's status`. A title is valid when an `it` or `test` in
// test/conformance, src/gateway or src/apigw has it, verbatim. The title of an `it.each` is its template:
// `answers %i to %s`. In a cell, `|` is written `\|`. A list in that file has the behaviours that no test can show yet,
// because nobody has asked the service.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { inBackticks, tableRows } from "../support/markdown.ts";

const ROOT = join(import.meta.dirname, "../..");
const FOLDERS = ["src/apigw", "src/gateway", "test/conformance"];

function testTitles(source: string): string[] {
  const titles: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ["it", "test"].includes(callee(node)) && node.arguments[0]) {
      const [title] = node.arguments;
      if (ts.isStringLiteralLike(title)) titles.push(title.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("x.test.ts", source, ts.ScriptTarget.Latest));
  return titles;
}

/** `it` of `it(…)`, `it.each(…)(…)` and `it.for(…)(…)`. */
function callee(node: ts.Expression): string {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isCallExpression(node) || ts.isPropertyAccessExpression(node)) return callee(node.expression);
  if (ts.isTaggedTemplateExpression(node)) return callee(node.tag);
  return "";
}

describe("COMPATIBILITY.md", () => {
  const titles = new Set(
    FOLDERS.flatMap((folder) => testFiles(folder)).flatMap((file) => testTitles(readFileSync(file, "utf8"))),
  );
  const rows = tableRows(readFileSync(join(ROOT, "COMPATIBILITY.md"), "utf8"));

  it("has rows", () => {
    expect(rows.length).toBeGreaterThan(0);
  });

  it.each(rows.map((row) => [row[0]!, inBackticks(row.at(-1)!)] as const))(
    "names existing tests for: %s",
    (_behaviour, named) => {
      expect(named).not.toEqual([]);
      expect(named.filter((title) => !titles.has(title))).toEqual([]);
    },
  );
});

describe("testTitles", () => {
  it("reads titles from every form of `it` and `test`, and nothing else", () => {
    const source = `
      it("plain", () => {});
      test(\`template\`, { timeout: 1 }, () => {});
      describe("no test", () => { it.each([1])("each %i", () => {}); });
      it.each\`a\${1}\`("tagged", () => {});
      expect("not this");
      // it("a comment")`;
    expect(testTitles(source)).toEqual(["plain", "template", "each %i", "tagged"]);
  });
});

function testFiles(folder: string): string[] {
  const path = join(ROOT, folder);
  if (!ts.sys.directoryExists(path)) return [];
  const names = readdirSync(path, { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".test.ts")).map((name) => join(path, name));
}
