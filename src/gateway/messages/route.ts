import { GatewayError } from "../errors.ts";

/** Picks a route key from a message's text: `undefined` when the text is no JSON, so that nothing is selected. */
export type RouteSelector = (text: string) => string | undefined;

type ExpressionPiece = string | readonly (string | number)[];

/**
 * Compiles a route selection expression: `$request.body.action`, `${request.body.a.b[0]}`, several of them with
 * static text between, `\$` for a dollar sign. What a path finds is made a string; a missing one is empty.
 * @throws {GatewayError} INVALID_OPTION
 */
export function compileRouteSelector(expression: string): RouteSelector {
  const parts = parseExpression(expression);
  return (text) => {
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      return undefined;
    }
    let key = "";
    for (const part of parts) key += typeof part === "string" ? part : toRouteKey(readPath(body, part));
    return key;
  };
}

const TOKEN = /\\\$|\$\{request\.body([^}]*)\}|\$request\.body((?:\.[\w-]+|\[\d+\]|\['[^']*'\])*)|\$/g;
const STEP = /\.([\w-]+)|\[(\d+)\]|\['([^']*)'\]/y;

function parseExpression(expression: string): ExpressionPiece[] {
  const parts: ExpressionPiece[] = [];
  let end = 0;
  for (const match of expression.matchAll(TOKEN)) {
    if (match.index > end) parts.push(expression.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[0] === "\\$") parts.push("$");
    else if (match[0] === "$") throw invalid(expression, "has a $ that begins no $request.body path");
    else parts.push(parsePath(match[1] ?? match[2] ?? "", expression));
  }
  if (end < expression.length) parts.push(expression.slice(end));
  if (!parts.some(Array.isArray)) throw invalid(expression, "reads nothing from $request.body");
  return parts;
}

function parsePath(path: string, expression: string): (string | number)[] {
  const steps: (string | number)[] = [];
  STEP.lastIndex = 0;
  for (let at = 0; at < path.length; at = STEP.lastIndex) {
    const match = STEP.exec(path);
    if (!match) throw invalid(expression, `has a path that can't be read: ${path}`);
    steps.push(match[2] === undefined ? (match[1] ?? match[3] ?? "") : Number(match[2]));
  }
  return steps;
}

function readPath(value: unknown, path: readonly (string | number)[]): unknown {
  for (const step of path) {
    // Own properties only: "constructor" in a path must not find Object's.
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
    // Nested too deep to be written out; no route is called that.
    return "";
  }
}

function invalid(expression: string, what: string): GatewayError {
  return new GatewayError("INVALID_OPTION", `routeSelectionExpression ${JSON.stringify(expression)} ${what}`);
}
