import type { StandardSchemaV1 } from "@standard-schema/spec";
import { takeParsed } from "../internal/parsed-message.ts";
import { ERROR_CODES, LiftError } from "./errors.ts";

/** Most issues that the sender receives: a small message can have thousands. */
const MAX_ISSUES = 20;

/** Most characters of an issue's path, and of its text, in the error message. */
const MAX_SUMMARY_LENGTH = 80;

/** @throws {LiftError} MALFORMED_JSON */
export function parseBody(body: string): unknown {
  const parsed = takeParsed(body);
  if (parsed !== undefined) return parsed;
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new LiftError("MALFORMED_JSON", { cause });
  }
}

/** Returns an own field of a value from a client. `__proto__` and `constructor` never count as fields. */
export function ownField(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  if (name === "__proto__" || name === "constructor") return undefined;
  return Object.hasOwn(value, name) ? (value as { [name: string]: unknown })[name] : undefined;
}

/**
 * Validates any value with a Standard Schema, as `ctx.bind` does with a message, and returns the schema's output.
 * @param at path of the value, which the error message puts before the issue's own path
 * @throws {LiftError} VALIDATION_ERROR: its message has the first issue and its path, its details the first 20 issues
 * @example
 * const { color } = await validate(z.object({ color: z.string() }), settings, ["settings"]);
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

/** The message names the first issue, because logs and consoles do not show details. */
function summarize([first]: readonly Issue[], count: number, at: readonly string[]): string {
  if (first === undefined) return ERROR_CODES.VALIDATION_ERROR.message;
  const path = [...at, ...first.path].join(".");
  const subject = path === "" ? "message" : `\`${truncate(path)}\``;
  return `Invalid ${subject}: ${truncate(first.message)}${count > 1 ? ` (${count} issues)` : ""}`;
}

/** Paths and issues may contain text from the client. */
function truncate(text: string): string {
  return text.length <= MAX_SUMMARY_LENGTH ? text : `${text.slice(0, MAX_SUMMARY_LENGTH)}…`;
}

interface Issue {
  readonly message: string;
  readonly path: readonly string[];
}

function toIssue(issue: StandardSchemaV1.Issue): Issue {
  const path = (issue.path ?? []).map((segment) =>
    String(typeof segment === "object" ? segment.key : segment),
  );
  return { message: issue.message, path };
}
