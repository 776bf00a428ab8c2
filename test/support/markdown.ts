export interface CodeBlock {
  /** The text after the backticks: `ts`, `ts run`. */
  readonly info: string;
  readonly code: string;
  /** First line of the code in the file, from 1. */
  readonly line: number;
}

export function codeBlocks(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(/^```(\w[^\n]*)\n(.*?)^```$/gms)].map((match) => ({
    info: match[1]!.trim(),
    code: match[2]!,
    line: markdown.slice(0, match.index).split("\n").length + 1,
  }));
}

/** Returns the cells of all table rows, without headings. A `|` in a cell is written `\|`. */
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

/** Returns the texts in backticks. */
export function inBackticks(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
}

/** Returns each `## heading` with its text. */
export function sections(markdown: string): Map<string, string> {
  const [, ...parts] = markdown.split(/^## /m);
  return new Map(parts.map((part) => [part.split("\n", 1)[0]!.trim(), part]));
}

function isRuler(line: string | undefined): boolean {
  return line !== undefined && /^\|[\s:|-]+\|$/.test(line.trim());
}
