import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { describeDuplicate, findDuplicates } from "../../tools/duplicates.mjs";

/** Writes files and returns the duplicates in them. */
function duplicatesIn(files: { readonly [name: string]: readonly string[] }): string[] {
  const root = mkdtempSync(join(tmpdir(), "lift-ws-duplicates-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [name, lines] of Object.entries(files)) writeFileSync(join(root, name), lines.join("\n"));
  return findDuplicates(root, Object.keys(files)).map(describeDuplicate);
}

const statements = (count: number) => Array.from({ length: count }, (_, n) => `call(${n});`);

it("finds eleven equal lines in two files", () => {
  const found = duplicatesIn({
    "a.ts": ["start();", ...statements(11), "end();"],
    "b.ts": [...statements(11), "other();"],
  });
  expect(found).toEqual(["a.ts:2-12 = b.ts:1-11 (11 lines)"]);
});

it("ignores ten equal lines", () => {
  expect(duplicatesIn({ "a.ts": statements(10), "b.ts": statements(10) })).toEqual([]);
});

it("reports a longer run once, and the longest run first", () => {
  const long = statements(30).map((line) => `long.${line}`);
  const found = duplicatesIn({
    "a.ts": [...statements(12), "a();", ...long],
    "b.ts": [...statements(12), "b();", ...long],
  });
  expect(found).toEqual(["a.ts:14-43 = b.ts:14-43 (30 lines)", "a.ts:1-12 = b.ts:1-12 (12 lines)"]);
});

it("ignores indentation, blank lines, comments and imports", () => {
  const imports = [
    "import {",
    ...statements(12).map((line) => line.replace(/\W/g, "_,")),
    '} from "./c.ts";',
  ];
  expect(duplicatesIn({ "a.ts": imports, "b.ts": imports })).toEqual([]);
  const commented = statements(11).flatMap((line) => ["", "// comment", `  ${line}`]);
  expect(duplicatesIn({ "a.ts": statements(11), "b.ts": commented })).toEqual([
    "a.ts:1-11 = b.ts:3-33 (11 lines)",
  ]);
});
