import { expect, it } from "vitest";
import { drawMutants, type Mutant } from "./mutants.ts";

const all: Mutant[] = Array.from({ length: 100 }, (_, index) => ({
  id: String(index),
  file: "src/a.ts",
  line: index,
  mutator: "BooleanLiteral",
  original: "true",
  replacement: "false",
}));

it("draws the same mutants with the same seed, and others with another", () => {
  const drawn = drawMutants(all, 10, 1);
  expect(drawMutants(all, 10, 1)).toEqual(drawn);
  expect(drawMutants(all, 10, 2)).not.toEqual(drawn);
  expect(new Set(drawn).size).toBe(10);
});
