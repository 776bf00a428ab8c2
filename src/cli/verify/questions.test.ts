import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sections } from "../../../test/support/markdown.ts";
import { percentile } from "./latency.ts";
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

it("finds percentiles by the nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, at) => 100 - at);
  expect([percentile(values, 0.5), percentile(values, 0.99), percentile([7], 0.99)]).toEqual([50, 99, 7]);
});
