export interface CodeBlock {
  /** What stands after the backticks: `ts`, `ts run`. */
  readonly info: string;
  readonly code: string;
  /** Where the code begins in the file, from 1. */
  readonly line: number;
}

export function codeBlocks(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(/^```(\w[^\n]*)\n(.*?)^```$/gms)].map((match) => ({
    info: match[1]!.trim(),
    code: match[2]!,
    line: markdown.slice(0, match.index).split("\n").length + 1,
  }));
}

/** The cells of every table's rows, heads and rulers left out. A `|` in a cell is written `\|`. */
export function tableRows(markdown: string): string[][] {
  const lines = markdown.split("\n");
  return lines
    .filter((line, at) => line.startsWith("|") && !isRuler(line) && !isRuler(lines[at + 1]))
    .map((line) => {
      const cells = line
        .trim()
        .replace(/^\|/, "")
        .replace(/\|$/, "")
        .split(/(?<!\\)\|/);
      return cells.map((cell) => cell.trim().replaceAll("\\|", "|"));
    });
}

/** What stands in backticks. */
export function inBackticks(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
}

/** Each `## heading` with the text under it. */
export function sections(markdown: string): Map<string, string> {
  const [, ...parts] = markdown.split(/^## /m);
  return new Map(parts.map((part) => [part.split("\n", 1)[0]!.trim(), part]));
}

function isRuler(line: string | undefined): boolean {
  return line !== undefined && /^\|[\s:|-]+\|$/.test(line.trim());
}
