import type { StandardSchemaV1 } from "@standard-schema/spec";
import { ERROR_CODES, LiftError } from "./errors.ts";

/** Issues that the sender gets at most: a small message can have thousands. */
const MAX_ISSUES = 20;

/** Characters of the path, and of the issue's text, in an error's message. */
const MAX_SUMMARY_LENGTH = 80;

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
 * Checks any value by a Standard Schema and returns the schema's output, as `ctx.bind` does with a message.
 * @param at where the value stands, before the issues' own paths in the error's message
 * @throws {LiftError} VALIDATION_ERROR: its message names the first issue and its path, its details the first 20
 */
export async function validate<Schema extends StandardSchemaV1>(
  schema: Schema,
  value: unknown,
  at: readonly string[] = [],
): Promise<StandardSchemaV1.InferOutput<Schema>> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value as StandardSchemaV1.InferOutput<Schema>;
  throw validationError(result.issues, at);
}

function validationError(issues: readonly StandardSchemaV1.Issue[], at: readonly string[]): LiftError {
  const details = issues.slice(0, MAX_ISSUES).map(toIssue);
  return new LiftError("VALIDATION_ERROR", { message: summarize(details, issues.length, at), details });
}

/** Names the first issue and its path, for readers of logs and consoles that show no details. */
function summarize([first]: readonly Issue[], count: number, at: readonly string[]): string {
  if (first === undefined) return ERROR_CODES.VALIDATION_ERROR.message;
  const path = [...at, ...first.path].join(".");
  const what = path === "" ? "message" : `\`${truncate(path)}\``;
  return `Invalid ${what}: ${truncate(first.message)}${count > 1 ? ` (${count} issues)` : ""}`;
}

/** Both may hold text that the client chose. */
function truncate(text: string): string {
  return text.length <= MAX_SUMMARY_LENGTH ? text : `${text.slice(0, MAX_SUMMARY_LENGTH)}…`;
}

interface Issue {
  readonly message: string;
  readonly path: readonly string[];
}

function toIssue(issue: StandardSchemaV1.Issue): Issue {
  const path = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  return { message: issue.message, path };
}
