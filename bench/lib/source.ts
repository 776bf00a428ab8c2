/** Counts lines and complexity of source files with TypeScript's own parser. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import ts from "typescript";

export interface SourceCount {
  readonly files: number;
  /** Lines with a token: neither blank nor only a comment. */
  readonly lines: number;
  /** Cyclomatic complexity: the sum over all functions, each 1 and one more for each branch. */
  readonly complexity: number;
  /** The complexity of the most complex function. */
  readonly worst: number;
}

/** Counts the files that `entries` import, directly or not, within `folder`, without `excluded`. */
export function countSources(
  folder: string,
  entries: readonly string[],
  excluded: readonly string[],
): SourceCount {
  const files = new Set<string>();
  const visit = (file: string): void => {
    if (
      files.has(file) ||
      !file.startsWith(folder) ||
      excluded.some((path) => resolve(folder, path) === file)
    ) {
      return;
    }
    files.add(file);
    for (const { fileName } of ts.preProcessFile(readFileSync(file, "utf8")).importedFiles) {
      if (fileName.startsWith(".")) visit(resolve(dirname(file), fileName));
    }
  };
  for (const entry of entries) visit(resolve(folder, entry));
  const counts = [...files].map((file) => countText(readFileSync(file, "utf8")));
  const sum = (of: (count: (typeof counts)[number]) => number) =>
    counts.reduce((total, it) => total + of(it), 0);
  const complexities = counts.flatMap(({ functions }) => functions);
  return {
    files: files.size,
    lines: sum(({ lines }) => lines),
    complexity: complexities.reduce((total, it) => total + it, 0),
    worst: Math.max(0, ...complexities),
  };
}

function countText(text: string): { readonly lines: number; readonly functions: readonly number[] } {
  const source = ts.createSourceFile("source.ts", text, ts.ScriptTarget.Latest, true);
  const lines = new Set<number>();
  const functions: number[] = [];
  const visit = (node: ts.Node, within: number | undefined): void => {
    if (ts.isToken(node) && node.kind !== ts.SyntaxKind.EndOfFileToken) {
      const from = source.getLineAndCharacterOfPosition(node.getStart()).line;
      const to = source.getLineAndCharacterOfPosition(node.getEnd()).line;
      for (let line = from; line <= to; line++) lines.add(line);
    }
    let current = within;
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
      current = functions.push(1) - 1;
    }
    if (current !== undefined && isBranch(node)) functions[current]!++;
    for (const child of node.getChildren(source)) {
      if (!ts.isJSDoc(child)) visit(child, current);
    }
  };
  visit(source, undefined);
  return { lines: lines.size, functions };
}

function isBranch(node: ts.Node): boolean {
  if (ts.isBinaryExpression(node)) {
    return [
      ts.SyntaxKind.AmpersandAmpersandToken,
      ts.SyntaxKind.BarBarToken,
      ts.SyntaxKind.QuestionQuestionToken,
    ].includes(node.operatorToken.kind);
  }
  return (
    ts.isIfStatement(node) ||
    ts.isConditionalExpression(node) ||
    ts.isIterationStatement(node, false) ||
    ts.isCaseClause(node) ||
    ts.isCatchClause(node)
  );
}
