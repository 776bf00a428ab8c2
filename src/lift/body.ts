import type { StandardSchemaV1 } from "@standard-schema/spec";
import { ERROR_CODES, LiftError } from "./errors.ts";

/** How many of a message's issues its sender is told: a small message can have thousands. */
const MAX_ISSUES = 20;

/** @throws {LiftError} MALFORMED_JSON */
export function parseBody(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new LiftError("MALFORMED_JSON", { cause });
  }
}

/** A field of a value that a client wrote: its own fields only, so neither `__proto__` nor `constructor`. */
export function ownField(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  if (name === "__proto__" || name === "constructor") return undefined;
  return Object.hasOwn(value, name) ? (value as { [name: string]: unknown })[name] : undefined;
}

/**
 * What a Standard Schema makes of any value, as `ctx.bind` of a message.
 * @throws {LiftError} VALIDATION_ERROR, with the first 20 issues as its details
 */
export async function validate<Schema extends StandardSchemaV1>(
  schema: Schema,
  value: unknown,
): Promise<StandardSchemaV1.InferOutput<Schema>> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value as StandardSchemaV1.InferOutput<Schema>;
  throw validationError(result.issues);
}

function validationError(issues: readonly StandardSchemaV1.Issue[]): LiftError {
  const details = issues.slice(0, MAX_ISSUES).map(plainIssue);
  if (issues.length <= MAX_ISSUES) return new LiftError("VALIDATION_ERROR", { details });
  const message = `${ERROR_CODES.VALIDATION_ERROR.message}: ${issues.length} issues, of which these are the first`;
  return new LiftError("VALIDATION_ERROR", { message, details });
}

function plainIssue(issue: StandardSchemaV1.Issue): { message: string; path: string[] } {
  const path = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  return { message: issue.message, path };
}
