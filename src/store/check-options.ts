import { StoreError } from "./contracts/errors.ts";

/** Whether a value will do, by the option's name; every option of a store has one. */
export type Checks<Options> = { readonly [name in keyof Required<Options>]: (value: unknown) => boolean };

/**
 * @param required those that have no default
 * @throws {StoreError} INVALID_OPTION
 */
export function checkOptions<Options extends object>(
  options: Options,
  checks: Checks<Options>,
  required: readonly string[],
): void {
  const known: { readonly [name: string]: (value: unknown) => boolean } = checks;
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(known, name)) {
      throw invalid(`Unknown option ${name}; there are ${Object.keys(known).join(", ")}`);
    }
    if (value === undefined || known[name]?.(value)) continue;
    // An object, or a text, may be a secret.
    const shown =
      typeof value === "number" || typeof value === "boolean" ? String(value) : `a ${typeof value}`;
    throw invalid(`Option ${name} is invalid: ${shown}`);
  }
  for (const name of required) {
    if ((options as { readonly [name: string]: unknown })[name] === undefined) {
      throw invalid(`Option ${name} is missing`);
    }
  }
}

function invalid(message: string): StoreError {
  return new StoreError("INVALID_OPTION", message);
}
