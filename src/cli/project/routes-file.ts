import { readFile } from "node:fs/promises";
import { findNearest } from "../arguments.ts";
import { CliError } from "../errors.ts";
import type { RouteEnvironment } from "./route-environment.ts";

/** `routes.json`: the handlers of an API's routes, as `./file.js` or `./file.js#export` relative to the file. */
export interface RoutesFile {
  readonly routes: ReadonlyMap<string, string>;
  readonly authorizer?: string;
  /** Environment variables of the handlers, by route key. */
  readonly environments?: ReadonlyMap<string, RouteEnvironment>;
  readonly authorizerEnvironment?: RouteEnvironment;
  /** Values that a request needs before the authorizer is called, such as `route.request.header.Name`. */
  readonly identitySources?: readonly string[];
  readonly stageVariables?: { readonly [name: string]: string };
  /** Default: a random id. */
  readonly apiId?: string;
  /** Default `$request.body.action`. */
  readonly routeSelectionExpression?: string;
  /** Keys of the routes whose result is sent back to the sender. */
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

/** Reads and parses a routes file. @throws {CliError} USAGE with the path and the fault */
export async function readRoutesFile(path: string): Promise<RoutesFile> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new CliError("USAGE", `Cannot read ${path} (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    return parseRoutes(JSON.parse(text));
  } catch (error) {
    throw new CliError("USAGE", `${path}: ${(error as Error).message}`);
  }
}

/** Parses the content of a routes file. @throws {Error} with the fault */
export function parseRoutes(value: unknown): RoutesFile {
  const file = readObject(value, "the file");
  rejectUnknown(file, KEYS, "");
  const handlers = new Map<string, string>();
  const environments = new Map<string, RouteEnvironment>();
  for (const [key, value] of Object.entries(readObject(file.routes, "routes"))) {
    const { handler, environment } = parseHandler(value, `routes, ${JSON.stringify(key)}`);
    handlers.set(key, handler);
    if (environment !== undefined) environments.set(key, environment);
  }
  if (handlers.size === 0) throw new Error("`routes` must have at least one route");
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
    if (stray !== undefined) throw new Error(`\`${stray}\` requires \`authorizer\``);
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

/** Parses `"./file.js#export"`, or an object with that as `handler` and an `environment`. */
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
    const advice = hint === undefined ? `expected ${keys.join(", ")}` : `did you mean "${hint}"?`;
    throw new Error(`unknown key "${key}"${place}; ${advice}`);
  }
}

function readIdentitySources(value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw new Error("`identitySources` must be an array");
  return value.map((source) => readString(source, "identitySources, each"));
}

function readStrings(value: unknown, name: string): { readonly [name: string]: string } {
  for (const [key, text] of Object.entries(readObject(value, name))) {
    if (typeof text !== "string") throw new Error(`${name}, ${JSON.stringify(key)} must be a string`);
  }
  return value as { readonly [name: string]: string };
}

function readApiId(value: unknown): string {
  if (isApiId(value)) return value;
  throw new Error(`\`apiId\` must be 1 to 63 lowercase letters and digits; got ${JSON.stringify(value)}`);
}

/** Returns whether a text is a valid API id, the first label of the API's host name on AWS. */
export function isApiId(value: unknown): value is string {
  return typeof value === "string" && /^[a-z0-9]{1,63}$/.test(value);
}

function readRouteResponses(value: unknown, routes: ReadonlyMap<string, string>): readonly string[] {
  if (!Array.isArray(value)) throw new Error("`routeResponses` must be an array of route keys");
  for (const key of value) {
    if (typeof key !== "string" || !routes.has(key)) {
      throw new Error(`\`routeResponses\` has ${JSON.stringify(key)}, which is not a key of \`routes\``);
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
  throw new Error(`${name} must be a non-empty string`);
}
