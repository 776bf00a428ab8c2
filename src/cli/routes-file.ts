import { readFile } from "node:fs/promises";
import { nearest } from "./arguments.ts";
import { CliError } from "./errors.ts";

/** `routes.json`: an API's routes, a handler each, as `./file.js` or `./file.js#export`, relative to the file. */
export interface RoutesFile {
  readonly routes: ReadonlyMap<string, string>;
  readonly authorizer?: string;
  /** Default `$request.body.action`. */
  readonly routeSelectionExpression?: string;
  /** The routes whose result goes back to the sender. */
  readonly routeResponses?: readonly string[];
}

const KEYS = ["routes", "authorizer", "routeSelectionExpression", "routeResponses"];

/** @throws {CliError} USAGE, naming the file and what is wrong in it */
export async function readRoutesFile(path: string): Promise<RoutesFile> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new CliError("USAGE", `Can't read ${path} (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    return parseRoutes(JSON.parse(text));
  } catch (error) {
    throw new CliError("USAGE", `${path}: ${(error as Error).message}`);
  }
}

/** @throws {Error} saying what is wrong */
export function parseRoutes(value: unknown): RoutesFile {
  const { routes, authorizer, routeSelectionExpression, routeResponses } = object(value, "the file");
  for (const key of Object.keys(value as object)) {
    if (KEYS.includes(key)) continue;
    const hint = nearest(key, KEYS);
    const advice = hint === undefined ? `there are ${KEYS.join(", ")}` : `the nearest is "${hint}"`;
    throw new Error(`unknown key "${key}"; ${advice}`);
  }
  const handlers = new Map<string, string>();
  for (const [key, reference] of Object.entries(object(routes, "routes"))) {
    handlers.set(key, string(reference, `routes, ${JSON.stringify(key)}`));
  }
  if (handlers.size === 0) throw new Error("routes has no route");
  return {
    routes: handlers,
    ...(authorizer === undefined ? {} : { authorizer: string(authorizer, "authorizer") }),
    ...(routeSelectionExpression === undefined
      ? {}
      : { routeSelectionExpression: string(routeSelectionExpression, "routeSelectionExpression") }),
    ...(routeResponses === undefined ? {} : { routeResponses: responses(routeResponses, handlers) }),
  };
}

function responses(value: unknown, routes: ReadonlyMap<string, string>): readonly string[] {
  if (!Array.isArray(value)) throw new Error("routeResponses must be a list of route keys");
  for (const key of value) {
    if (typeof key !== "string" || !routes.has(key)) {
      throw new Error(`routeResponses names ${JSON.stringify(key)}, which is no key of routes`);
    }
  }
  return value;
}

function object(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new Error(`${name} must be an object`);
}

function string(value: unknown, name: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new Error(`${name} must be a string that is not empty`);
}
