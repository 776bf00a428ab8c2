// What it imports is installed by install.mjs, so nothing else imports this file by itself.
import { Parser } from "@asyncapi/parser";
import { Ajv } from "ajv";

const ERROR = 0;
const parser = new Parser();

/**
 * What the official parser has against a document, an error each.
 * @param {object} document
 * @returns {Promise<string[]>}
 */
export async function errorsIn(document) {
  const diagnostics = await parser.validate(JSON.stringify(document));
  return diagnostics
    .filter(({ severity }) => severity === ERROR)
    .map(({ path, message }) => `${path.join("/")}: ${message}`);
}

/**
 * Checks values against the schemas in a document.
 * @param {object} document
 * @returns {(pointers: readonly string[], value: unknown) => boolean} whether it fits one of those that are pointed to
 */
export function checkerOf(document) {
  const ajv = new Ajv({ strict: false, validateFormats: false }).addSchema(document, "document");
  /** @type {Map<string, import("ajv").ValidateFunction>} */
  const compiled = new Map();
  return (pointers, value) =>
    pointers.some((pointer) => {
      const check = compiled.get(pointer) ?? ajv.compile({ $ref: `document${pointer}` });
      compiled.set(pointer, check);
      return check(value) === true;
    });
}
