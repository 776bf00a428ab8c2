import { LiftError } from "./errors.ts";

/** @throws {LiftError} INVALID_OPTION: a name that is not among `checks`, or a value that its check refuses */
export function checkOptions(
  options: object,
  checks: { readonly [name: string]: (value: unknown) => boolean },
): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checks, name)) {
      const message = `Unknown option ${name}; there are ${Object.keys(checks).join(", ")}`;
      throw new LiftError("INVALID_OPTION", { message });
    }
    if (value === undefined || checks[name]?.(value)) continue;
    // A text may be a secret in the wrong place.
    const shown = typeof value === "string" ? "a string" : String(value);
    throw new LiftError("INVALID_OPTION", { message: `Option ${name} is invalid: ${shown}` });
  }
}

export function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

export function isAtLeast(minimum: number): (value: unknown) => boolean {
  return (value) => typeof value === "number" && value >= minimum;
}

export function hasMethods(...names: string[]): (value: unknown) => boolean {
  return (value) =>
    typeof value === "object" &&
    value !== null &&
    names.every((name) => typeof (value as { [name: string]: unknown })[name] === "function");
}
