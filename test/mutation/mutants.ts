// Makes the mutants of a part with Stryker's instrumenter: one copy of the sources holds them all, each behind a switch.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../history/random.ts";
import type { InstrumentedMutant, Instrumenter } from "./instrumenter.ts";

export interface Mutant {
  readonly id: string;
  /** Below the root. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly mutator: string;
  readonly original: string;
  readonly replacement: string;
}

/** Messages and names are text: a changed one says little about the tests. */
const EXCLUDED_MUTATORS = ["StringLiteral"];

/** Replaces `files` of the tree at `root` by ones that hold all their mutants. */
export async function instrument(
  instrumenter: Instrumenter,
  root: string,
  files: readonly string[],
): Promise<Mutant[]> {
  const sources = files.map((name) => ({
    name,
    mutate: true,
    content: readFileSync(join(root, name), "utf8"),
  }));
  const result = await instrumenter.instrument(sources, {
    excludedMutations: [],
    ignorers: [],
    plugins: null,
    noHeader: false,
  });
  for (const { name, content } of result.files) writeFileSync(join(root, name), content);
  const originals = new Map(sources.map(({ name, content }) => [name, content.split("\n")]));
  return result.mutants
    .filter(({ mutatorName }) => !EXCLUDED_MUTATORS.includes(mutatorName))
    .map((mutant) => toMutant(mutant, originals.get(mutant.fileName) ?? []));
}

function toMutant(mutant: InstrumentedMutant, lines: readonly string[]): Mutant {
  const { start, end } = mutant.location;
  const covered = lines.slice(start.line, end.line + 1);
  covered[covered.length - 1] = covered.at(-1)?.slice(0, end.column) ?? "";
  covered[0] = covered[0]?.slice(start.column) ?? "";
  return {
    id: mutant.id,
    file: mutant.fileName,
    line: start.line + 1,
    mutator: mutant.mutatorName,
    original: covered.join("\n"),
    replacement: mutant.replacement,
  };
}

/** Draws `count` mutants; the same seed draws the same ones. */
export function drawMutants(mutants: readonly Mutant[], count: number, seed: number): Mutant[] {
  return new Random(seed).shuffled(mutants).slice(0, count);
}
