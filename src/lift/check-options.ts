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
    throw new LiftError("INVALID_OPTION", { message: `Option ${name} is invalid: ${describe(value)}` });
  }
}

/** Without the value where it may be a secret in the wrong place, such as a key's text or bytes. */
function describe(value: unknown): string {
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "object") return Array.isArray(value) ? "an array" : "an object";
  return `a ${typeof value}`;
}

export function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

export function isRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null;
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
