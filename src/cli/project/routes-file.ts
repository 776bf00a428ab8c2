import { readFile } from "node:fs/promises";
import { findNearest } from "../arguments.ts";
import { CliError } from "../errors.ts";
import type { RouteEnvironment } from "./route-environment.ts";

/** `routes.json`: an API's routes, a handler each, as `./file.js` or `./file.js#export`, relative to the file. */
export interface RoutesFile {
  readonly routes: ReadonlyMap<string, string>;
  readonly authorizer?: string;
  /** Variables of single routes' handlers, and of the authorizer's. */
  readonly environments?: ReadonlyMap<string, RouteEnvironment>;
  readonly authorizerEnvironment?: RouteEnvironment;
  /** A request without one of these is refused before the authorizer is called: `route.request.header.Name` and the like. */
  readonly identitySources?: readonly string[];
  readonly stageVariables?: { readonly [name: string]: string };
  /** Default: random letters and digits. */
  readonly apiId?: string;
  /** Default `$request.body.action`. */
  readonly routeSelectionExpression?: string;
  /** The routes whose result goes back to the sender. */
  readonly routeResponses?: readonly string[];
}

const KEYS = [
  "routes",
  "authorizer",
  "apiId",
  "authorizerEnvironment",
  "identitySources",
  "routeSelectionExpression",
  "routeResponses",
  "stageVariables",
];
const HANDLER_KEYS = ["handler", "environment"];

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
  const file = readObject(value, "the file");
  rejectUnknown(file, KEYS, "");
  const handlers = new Map<string, string>();
  const environments = new Map<string, RouteEnvironment>();
  for (const [key, one] of Object.entries(readObject(file.routes, "routes"))) {
    const { handler, environment } = parseHandler(one, `routes, ${JSON.stringify(key)}`);
    handlers.set(key, handler);
    if (environment !== undefined) environments.set(key, environment);
  }
  if (handlers.size === 0) throw new Error("routes has no route");
  const { routeSelectionExpression, routeResponses } = file;
  return {
    routes: handlers,
    ...(environments.size > 0 && { environments }),
    ...parseAuthorizer(file),
    ...(file.apiId !== undefined && { apiId: readApiId(file.apiId) }),
    ...(routeSelectionExpression === undefined
      ? {}
      : { routeSelectionExpression: readString(routeSelectionExpression, "routeSelectionExpression") }),
    ...(routeResponses === undefined ? {} : { routeResponses: readRouteResponses(routeResponses, handlers) }),
    ...(file.stageVariables !== undefined && {
      stageVariables: readStrings(file.stageVariables, "stageVariables"),
    }),
  };
}

function parseAuthorizer(file: Record<string, unknown>): Partial<RoutesFile> {
  const { authorizer, authorizerEnvironment, identitySources } = file;
  if (authorizer === undefined) {
    const stray = ["authorizerEnvironment", "identitySources"].find((key) => file[key] !== undefined);
    if (stray !== undefined) throw new Error(`${stray} needs an authorizer`);
    return {};
  }
  return {
    authorizer: readString(authorizer, "authorizer"),
    ...(authorizerEnvironment !== undefined && {
      authorizerEnvironment: readStrings(authorizerEnvironment, "authorizerEnvironment"),
    }),
    ...(identitySources !== undefined && { identitySources: readIdentitySources(identitySources) }),
  };
}

/** `"./file.js#export"`, or that as `handler` beside an `environment`. */
function parseHandler(value: unknown, name: string): { handler: string; environment?: RouteEnvironment } {
  if (typeof value !== "object" || value === null) return { handler: readString(value, name) };
  const { handler, environment, ...rest } = readObject(value, name);
  rejectUnknown(rest, HANDLER_KEYS, ` in ${name}`);
  return {
    handler: readString(handler, `${name}, handler`),
    ...(environment !== undefined && { environment: readStrings(environment, `${name}, environment`) }),
  };
}

function rejectUnknown(value: object, keys: readonly string[], place: string): void {
  for (const key of Object.keys(value)) {
    if (keys.includes(key)) continue;
    const hint = findNearest(key, keys);
    const advice = hint === undefined ? `there are ${keys.join(", ")}` : `the nearest is "${hint}"`;
    throw new Error(`unknown key "${key}"${place}; ${advice}`);
  }
}

function readIdentitySources(value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw new Error("identitySources must be a list");
  return value.map((source) => readString(source, "identitySources, each"));
}

function readStrings(value: unknown, name: string): { readonly [name: string]: string } {
  for (const [key, one] of Object.entries(readObject(value, name))) {
    if (typeof one !== "string") throw new Error(`${name}, ${JSON.stringify(key)} must be a string`);
  }
  return value as { readonly [name: string]: string };
}

function readApiId(value: unknown): string {
  if (isApiId(value)) return value;
  throw new Error(`apiId must be 1 to 63 small letters and digits, not ${JSON.stringify(value)}`);
}

/** Whether a text may be an API's id: it is the first label of the API's host name on AWS. */
export function isApiId(value: unknown): value is string {
  return typeof value === "string" && /^[a-z0-9]{1,63}$/.test(value);
}

function readRouteResponses(value: unknown, routes: ReadonlyMap<string, string>): readonly string[] {
  if (!Array.isArray(value)) throw new Error("routeResponses must be a list of route keys");
  for (const key of value) {
    if (typeof key !== "string" || !routes.has(key)) {
      throw new Error(`routeResponses names ${JSON.stringify(key)}, which is no key of routes`);
    }
  }
  return value;
}

function readObject(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new Error(`${name} must be an object`);
}

function readString(value: unknown, name: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new Error(`${name} must be a string that is not empty`);
}
