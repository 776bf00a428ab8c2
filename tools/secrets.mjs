// @ts-check
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";

/**
 * Every token that the tests use is a JWT, which is known by its form, or has one of these in it.
 * @type {readonly RegExp[]}
 */
const SECRETS = [
  /eyJ[\w-]{10,}\.[\w-]{10,}/,
  // The secret that signs them, and those that tests make up.
  /thirty-two bytes, or more/,
  /c2lnbmF0dXJlLW9mLWFkYQ/,
  /opaque-credential/,
  /SECRET\d{3}/,
  // The secret access keys of AWS's own examples.
  /wJalrXUtnFEMI/,
];

/** What `lift-ws token` prints, on a line of its own: for that it is there. */
const MINTED = /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/gm;

/**
 * Looks for secrets in what test/secrets/record.ts has kept.
 * @param {string} folder
 * @returns {{ bytes: number, leaks: string[] }} a leak names the test file and shows the line without the secret
 */
export function findSecrets(folder) {
  let bytes = 0;
  /** @type {string[]} */
  const leaks = [];
  for (const name of readdirSync(folder)) {
    const text = stripVTControlCharacters(readFileSync(join(folder, name), "utf8"));
    bytes += text.length;
    // A token that was printed to be used is a secret from then on, however it is cut.
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
