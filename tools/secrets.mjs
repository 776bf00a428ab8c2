// @ts-check
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";

/**
 * Patterns of the secrets in tests: tokens in JWT form, and the marked strings that tests use as secrets.
 * @type {readonly RegExp[]}
 */
const SECRETS = [
  /eyJ[\w-]{10,}\.[\w-]{10,}/,
  // The signing secret, and other secrets of the tests.
  /thirty-two bytes, or more/,
  /c2lnbmF0dXJlLW9mLWFkYQ/,
  /opaque-credential/,
  /SECRET\d{3}/,
  // The secret access keys of AWS's own examples.
  /wJalrXUtnFEMI/,
];

/** A token that `lift-ws token` prints on a line of its own, which is its purpose. */
const MINTED = /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/gm;

/**
 * Finds secrets in the output that test/secrets/record.ts recorded.
 * @param {string} folder
 * @returns {{ bytes: number, leaks: string[] }} each leak names the test file and shows the line without the secret
 */
export function findSecrets(folder) {
  let bytes = 0;
  /** @type {string[]} */
  const leaks = [];
  for (const name of readdirSync(folder)) {
    const text = stripVTControlCharacters(readFileSync(join(folder, name), "utf8"));
    bytes += text.length;
    // A printed token is a secret in all other output, its signature alone too.
    const minted = [...text.matchAll(MINTED)].map(([token]) => token.split(".").at(-1) ?? "");
    leaks.push(...leaksIn(text.replaceAll(MINTED, ""), minted));
  }
  return { bytes, leaks };
}

/**
 * @param {string} text
 * @param {readonly string[]} minted
 */
function leaksIn(text, minted) {
  /** @type {string[]} */
  const leaks = [];
  let test = "?";
  for (const line of text.split("\n")) {
    test = /^\[(.*\.ts)\]$/.exec(line)?.[1] ?? test;
    const found = SECRETS.find((secret) => secret.test(line)) ?? minted.find((token) => line.includes(token));
    if (found !== undefined) leaks.push(`${test}: ${line.replace(found, "<here>").slice(0, 300)}`);
  }
  return leaks;
}
