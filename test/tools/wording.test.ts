import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { comments, findWording, messages, paragraphs, wordsToAvoid } from "../../tools/wording.mjs";

const texts = (passages: readonly { readonly text: string }[]) => passages.map(({ text }) => text.trim());
const words = (passage: string) => wordsToAvoid(passage).map((found) => found.words);

describe("wordsToAvoid", () => {
  it.each([
    ["What is kept.", ["What"]],
    ["Stored messages. Of each, the newest.", ["Of"]],
    ["@param message What is sent", ["What"]],
    ["@returns {string} Whose it is", ["Whose"]],
    ["Sends to whoever is there", ["whoever"]],
    ["An empty name is no name", ["is no"]],
    ["Clients are told of a loss", ["are told"]],
  ])("finds the words in %j", (passage, expected) => {
    expect(words(passage)).toEqual(expected);
  });

  it.each([
    "Stored messages. Each has an offset.",
    "Whatever the order, one of them wins",
    "There is no row for this connection",
    "The list is no longer sorted",
    "`What` and `is no` are quoted code",
  ])("accepts %j", (passage) => {
    expect(words(passage)).toEqual([]);
  });
});

describe("comments", () => {
  it("reads docstrings and joins the lines of a comment", () => {
    const source = `
      /**
       * One sentence,
       * two lines.
       */
      const a = 1; // Beside code.
      const b = 2;
      // First line,
      // second line.
      const url = "https://example.com";`;
    expect(texts(comments(source))).toEqual([
      "One sentence, two lines.",
      "Beside code.",
      "First line, second line.",
    ]);
  });
});

describe("messages", () => {
  it("reads string literals of three words or more", () => {
    const source = `throw new Error("no such channel"); const key = "two words"; it(\`takes \${n} of them\`)`;
    expect(texts(messages(source))).toEqual(["no such channel", `takes \${n} of them`]);
  });
});

describe("paragraphs", () => {
  it("reads headings, paragraphs, list items and table cells without code blocks", () => {
    const markdown = "# Title\n\nOne\ntwo.\n\n- Item\n- Other\n\n```ts\ncode();\n```\n\n| a | What |\n";
    expect(texts(paragraphs(markdown))).toEqual(["# Title", "One two.", "- Item", "- Other", "| a. What |"]);
    expect(words("| a. What |")).toEqual(["What"]);
  });
});

describe("findWording", () => {
  it("names the file, the line, the words and the sentence", () => {
    const root = mkdtempSync(join(tmpdir(), "lift-ws-wording-"));
    onTestFinished(() => rmSync(root, { recursive: true }));
    writeFileSync(join(root, "a.ts"), "const a = 1;\n// What it is.\n");
    writeFileSync(join(root, "b.md"), "# Title\n\nIt is told twice.\n");
    expect(findWording(root, ["a.ts", "b.md"])).toEqual([
      'a.ts:2 "What": What it is.',
      'b.md:3 "is told": It is told twice.',
    ]);
  });
});
