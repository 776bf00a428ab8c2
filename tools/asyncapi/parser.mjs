// Load this file through install.mjs only, which installs its dependencies.
import { Parser } from "@asyncapi/parser";
import { Ajv } from "ajv";

const ERROR = 0;
const parser = new Parser();

/**
 * Returns the errors that the official parser finds in a document.
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
 * Returns a function that checks values against schemas in a document.
 * @param {object} document
 * @returns {(pointers: readonly string[], value: unknown) => boolean} whether the value matches a schema at one of the pointers
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
