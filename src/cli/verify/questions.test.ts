import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sections } from "../../../test/support/markdown.ts";
import { CODE } from "./probe-template.ts";
import { QUESTIONS } from "./questions.ts";

it("asks exactly the open questions of COMPATIBILITY.md, in its order and words", () => {
  const document = readFileSync(join(import.meta.dirname, "../../../COMPATIBILITY.md"), "utf8");
  const text = sections(document).get("Open questions")!;
  const bold = [...text.matchAll(/\*\*(.+?)\*\*/g)].map(([, question]) => question);
  expect(QUESTIONS.map((question) => question.text)).toEqual(bold);
});

it("deploys code that CloudFormation takes inline", () => {
  expect(CODE.length).toBeLessThanOrEqual(4_096);
});
