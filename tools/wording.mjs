// @ts-check
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Openers that turn a sentence into a riddle: a noun or a verb begins a sentence that is read once. */
const OPENER = /^(?:What|Who|Whoever|Whose|Of|By which|That which)\b(?!['’]s new)/;
const PHRASE = new RegExp(
  [
    "whoever",
    "whatever it",
    "(?<!there )is no(?! (?:longer|more|less|later|earlier|greater|larger|smaller|fewer)\\b)",
    "(?:is|are) told",
    "hand(?:s|ed)? on",
    "put off",
    "come in",
    "left behind",
    "goes on with",
    "may what",
    "has its end",
    "stands for",
    "out of breath",
    "all the same",
    "by and by",
  ]
    .map((phrase) => `\\b${phrase}\\b`)
    .join("|"),
  "i",
);

/** @typedef {{ index: number, text: string }} Passage a comment, a string or a paragraph, and its index in the file */

/**
 * Lists sentences to reword in comments, docstrings, messages and documents.
 * @param {string} root
 * @param {readonly string[]} files relative to `root`
 * @returns {string[]} a line for each: file, line number, the words and the sentence's beginning
 */
export function findWording(root, files) {
  return files.flatMap((file) => {
    const text = readFileSync(join(root, file), "utf8");
    const passages = file.endsWith(".md") ? paragraphs(text) : [...comments(text), ...messages(text)];
    return passages.flatMap((passage) =>
      wordsToAvoid(passage.text).map(
        ({ words, sentence }) => `${file}:${lineAt(text, passage.index)} "${words}": ${shorten(sentence)}`,
      ),
    );
  });
}

/**
 * Finds the words to avoid in a passage, at most one for each sentence.
 * @param {string} passage
 * @returns {{ words: string, sentence: string }[]}
 */
export function wordsToAvoid(passage) {
  return sentences(passage).flatMap((sentence) => {
    const words = OPENER.exec(sentence)?.[0] ?? PHRASE.exec(sentence)?.[0];
    return words === undefined ? [] : [{ words, sentence }];
  });
}

function sentences(/** @type {string} */ passage) {
  return passage
    .replace(/`[^`]*`/g, "`…`")
    .split(/(?<=[.!?:])\s+|@(?:returns|throws|param \S+)(?: \{[^}]*\})?/)
    .map((sentence) => sentence.trim().replace(/^[#>*\-|\s]+/, ""));
}

/**
 * Comments of a script, each run of line comments as one.
 * @param {string} source
 * @returns {Passage[]}
 */
export function comments(source) {
  const pattern = /\/\*\*?([\s\S]*?)\*\/|((?:^|(?<=[;{}(),\s]))\/\/ .*(?:\n[ \t]*\/\/ .*)*)/gm;
  return [...source.matchAll(pattern)].map((match) => ({
    index: match.index,
    text: (match[1] ?? match[2] ?? "").replace(/^[ \t]*(?:\/\/|\*)/gm, "").replace(/\s+/g, " "),
  }));
}

/**
 * String literals of three words or more: errors, log lines, titles of tests.
 * @param {string} source
 * @returns {Passage[]}
 */
export function messages(source) {
  return [...source.matchAll(/(["`'])((?:(?!\1)[^\\\n]|\\.)*)\1/g)]
    .map((match) => ({ index: match.index, text: match[2] ?? "" }))
    .filter(({ text }) => /\w \S+ \w/.test(text));
}

/**
 * Paragraphs, list items, headings and table rows of a Markdown file, without its code blocks.
 * @param {string} markdown
 * @returns {Passage[]}
 */
export function paragraphs(markdown) {
  const prose = markdown.replace(/^( *)```[\s\S]*?^\1```/gm, (block) => block.replace(/[^\n]+/g, ""));
  return [...prose.matchAll(/(?:^(?!\s*(?:[-*|#>]|\d+\.)).+\n?)+|^.+$/gm)].map((match) => ({
    index: match.index,
    text: match[0].replaceAll(" | ", ". ").replace(/\s+/g, " "),
  }));
}

/**
 * @param {string} text
 * @param {number} index
 */
function lineAt(text, index) {
  return text.slice(0, index).split("\n").length;
}

function shorten(/** @type {string} */ sentence) {
  return sentence.length > 90 ? `${sentence.slice(0, 89)}…` : sentence;
}
