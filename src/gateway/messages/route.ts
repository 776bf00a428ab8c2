import { keepParsed } from "../../internal/parsed-message.ts";
import { GatewayError } from "../errors.ts";

/** Reads the route key from a message. Returns `undefined` when the message is not JSON. */
export type RouteSelector = (text: string) => string | undefined;

type ExpressionPiece = string | readonly (string | number)[];

/**
 * Compiles a route selection expression: paths such as `$request.body.action` and `${request.body.a.b[0]}`, static text
 * between them, and `\$` for a dollar sign. Values are converted to strings; a missing value is empty.
 * @throws {GatewayError} INVALID_OPTION
 */
export function compileRouteSelector(expression: string): RouteSelector {
  const pieces = parseExpression(expression);
  return (text) => {
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      return undefined;
    }
    keepParsed(text, body);
    let key = "";
    for (const piece of pieces) key += typeof piece === "string" ? piece : toRouteKey(readPath(body, piece));
    return key;
  };
}

const TOKEN = /\\\$|\$\{request\.body([^}]*)\}|\$request\.body((?:\.[\w-]+|\[\d+\]|\['[^']*'\])*)|\$/g;
const STEP = /\.([\w-]+)|\[(\d+)\]|\['([^']*)'\]/y;

function parseExpression(expression: string): ExpressionPiece[] {
  const pieces: ExpressionPiece[] = [];
  let end = 0;
  for (const match of expression.matchAll(TOKEN)) {
    if (match.index > end) pieces.push(expression.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[0] === "\\$") pieces.push("$");
    else if (match[0] === "$")
      throw invalid(expression, "has a `$` without a `$request.body` path; write `\\$` for a dollar sign");
    else pieces.push(parsePath(match[1] ?? match[2] ?? "", expression));
  }
  if (end < expression.length) pieces.push(expression.slice(end));
  if (!pieces.some(Array.isArray)) throw invalid(expression, "must contain a `$request.body` path");
  return pieces;
}

function parsePath(path: string, expression: string): (string | number)[] {
  const steps: (string | number)[] = [];
  STEP.lastIndex = 0;
  for (let at = 0; at < path.length; at = STEP.lastIndex) {
    const match = STEP.exec(path);
    if (!match) throw invalid(expression, `has an invalid path: ${path}`);
    steps.push(match[2] === undefined ? (match[1] ?? match[3] ?? "") : Number(match[2]));
  }
  return steps;
}

function readPath(value: unknown, path: readonly (string | number)[]): unknown {
  for (const step of path) {
    // Read own properties only, so that "constructor" does not find Object's.
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}

function toRouteKey(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === undefined) return "";
  try {
    return JSON.stringify(value);
  } catch {
    // The value is nested too deeply to serialize, so no route can match it.
    return "";
  }
}

function invalid(expression: string, fault: string): GatewayError {
  return new GatewayError(
    "INVALID_OPTION",
    `\`routeSelectionExpression\` ${JSON.stringify(expression)} ${fault}`,
  );
}
