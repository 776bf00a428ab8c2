// @ts-check
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Shortest run of equal lines that counts as a duplicate. Blank lines, comments and imports do not count. */
const MIN_LINES = 11;

/**
 * @typedef {{ file: string, first: number, last: number }} Place lines are counted from 1
 * @typedef {{ lines: number, places: [Place, Place] }} Duplicate
 */

/**
 * Finds runs of equal lines in two places of the given files, the longest first.
 * @param {string} root
 * @param {readonly string[]} files relative to `root`
 * @returns {Duplicate[]}
 */
export function findDuplicates(root, files) {
  const sources = files.map((file) => codeLines(file, readFileSync(join(root, file), "utf8")));
  /** @type {Duplicate[]} */
  const found = [];
  for (const [one, other] of pairsWithCommonRun(sources)) found.push(...commonRuns(one, other));
  return found.sort((a, b) => b.lines - a.lines);
}

/** @param {Duplicate} duplicate */
export function describeDuplicate({ lines, places }) {
  const [one, other] = places.map(({ file, first, last }) => `${file}:${first}-${last}`);
  return `${one} = ${other} (${lines} lines)`;
}

/** @typedef {{ file: string, lines: { text: string, number: number }[], runs: string[] }} Source */

/**
 * @param {string} file
 * @param {string} text
 * @returns {Source}
 */
function codeLines(file, text) {
  // An import may take several lines; blanking it keeps the line numbers.
  const withoutImports = text.replace(/^(?:import|export) [^;(]*? from "[^"]+";/gm, (statement) =>
    statement.replace(/[^\n]+/g, ""),
  );
  const lines = withoutImports.split("\n").map((line, at) => ({ text: line.trim(), number: at + 1 }));
  const code = lines.filter((line) => line.text !== "" && !/^(?:\/\/|\/?\*)/.test(line.text));
  const texts = code.map((line) => line.text);
  const runs = texts.slice(MIN_LINES - 1).map((_, at) => texts.slice(at, at + MIN_LINES).join("\n"));
  return { file, lines: code, runs };
}

/** @param {readonly Source[]} sources */
function* pairsWithCommonRun(sources) {
  /** @type {Map<string, Set<Source>>} */
  const sourcesByRun = new Map();
  for (const source of sources) {
    /** @type {Set<Source>} */
    const paired = new Set();
    for (const run of source.runs) {
      const others = sourcesByRun.get(run) ?? new Set();
      sourcesByRun.set(run, others.add(source));
      for (const other of others) {
        if (other === source || paired.has(other)) continue;
        paired.add(other);
        yield/** @type {const} */ ([other, source]);
      }
    }
  }
}

/**
 * @param {Source} one
 * @param {Source} other
 */
function* commonRuns(one, other) {
  const starts = new Map(one.runs.map((run, at) => [run, at]));
  for (let at = 0; at < other.runs.length; at++) {
    const start = starts.get(other.runs[at] ?? "");
    if (start === undefined) continue;
    let length = MIN_LINES;
    const isEqual = (/** @type {number} */ n) =>
      one.lines[start + n] !== undefined && one.lines[start + n]?.text === other.lines[at + n]?.text;
    while (isEqual(length)) length++;
    yield/** @type {Duplicate} */ ({
      lines: length,
      places: [place(one, start, length), place(other, at, length)],
    });
    at += length - 1;
  }
}

/**
 * @param {Source} source
 * @param {number} start
 * @param {number} length
 * @returns {Place}
 */
function place({ file, lines }, start, length) {
  return { file, first: lines[start]?.number ?? 0, last: lines[start + length - 1]?.number ?? 0 };
}
