import type { RequestListener } from "node:http";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import type { LambdaAuthorizer, LambdaHandler } from "../../apigw/index.ts";
import { CliError } from "../errors.ts";
import type { FunctionUrlHandler } from "./function-url.ts";
import {
  displayPath,
  isLiftApp,
  type LiftApp,
  loadError,
  parseReference,
  pickExport,
  type Reference,
} from "./handlers.ts";
import type { ModuleExports, ProjectModules } from "./modules.ts";
import { type RouteEnvironment, withEnvironment } from "./route-environment.ts";
import { type RoutesFile, readRoutesFile } from "./routes-file.ts";

/** The module or routes file that the command line names. */
export type Target =
  | { readonly kind: "module"; readonly reference: Reference }
  | { readonly kind: "routes"; readonly path: string };

/** The handler of a scheduled function: `export const tick = app.tickHandler()`. */
export type ScheduledHandler = (event: unknown, context: { getRemainingTimeInMillis(): number }) => unknown;

/** The loaded handlers, and the handler of `/tickets`. */
export type LoadedApp = LoadedHandlers & { readonly tickets?: FunctionUrlHandler };

type LoadedHandlers =
  | { readonly kind: "app"; readonly app: LiftApp }
  | { readonly kind: "handler"; readonly handler: LambdaHandler; readonly tick?: ScheduledHandler }
  | {
      readonly kind: "routes";
      readonly file: RoutesFile;
      readonly handlers: ReadonlyMap<string, LambdaHandler>;
      readonly authorizer: LambdaAuthorizer | undefined;
    };

/**
 * Loads the handlers of a target.
 * @throws {CliError} USAGE for a wrong file or export; FAILED, with the cause, when a module throws
 */
export async function loadApp(target: Target, modules: ProjectModules): Promise<LoadedApp> {
  if (target.kind === "routes") return loadRoutes(target.path, modules);
  const exports = await loadModule(target.reference, modules);
  const loaded = pickExport(exports, target.reference, ["default", "handler"]);
  if (isLiftApp(loaded)) return { kind: "app", app: loaded };
  const { tick } = exports;
  return {
    kind: "handler",
    handler: loaded,
    ...(typeof tick === "function" && { tick: tick as ScheduledHandler }),
  };
}

async function loadRoutes(path: string, modules: ProjectModules): Promise<LoadedApp> {
  const file = await readRoutesFile(path);
  const load = async (text: string): Promise<LambdaHandler> => {
    const reference = parseReference(text, dirname(path));
    const loaded = await loadExport(reference, modules, ["handler", "default"]);
    if (!isLiftApp(loaded)) return loaded;
    const name = displayPath(reference.file);
    throw new CliError(
      "USAGE",
      `${name} is a Lift app, which has routes of its own; run lift-ws dev ${name}`,
    );
  };
  const handlers = new Map<string, LambdaHandler>();
  for (const [key, text] of file.routes) {
    handlers.set(key, await loadWith(file.environments?.get(key), () => load(text)));
  }
  const named = file.authorizer;
  const authorizer =
    named === undefined ? undefined : await loadWith(file.authorizerEnvironment, () => load(named));
  // An authorizer is a handler of another event. The gateway validates its result.
  return { kind: "routes", file, handlers, authorizer: authorizer as LambdaAuthorizer | undefined };
}

/** Loads a handler with its own environment variables, which also apply to its events. */
async function loadWith(
  environment: RouteEnvironment | undefined,
  load: () => Promise<LambdaHandler>,
): Promise<LambdaHandler> {
  if (environment === undefined) return load();
  const handler = await withEnvironment(environment, load);
  const run: LambdaHandler = (event, context, callback) =>
    withEnvironment(environment, () => handler(event, context, callback));
  // The gateway reads the number of parameters to decide whether a handler ends by its callback.
  return Object.defineProperty(run, "length", { value: handler.length });
}

/**
 * Loads the handler of `/tickets`.
 * @throws {CliError} as {@link loadApp}
 */
export async function loadTickets(
  reference: Reference,
  modules: ProjectModules,
): Promise<FunctionUrlHandler> {
  const loaded = await loadExport(reference, modules, ["handler", "default"]);
  // A function URL handler takes another event.
  if (!isLiftApp(loaded)) return loaded as unknown as FunctionUrlHandler;
  throw new CliError(
    "USAGE",
    `${displayPath(reference.file)} exports a Lift app; --tickets needs a ticketHandler`,
  );
}

async function loadExport(
  reference: Reference,
  modules: ProjectModules,
  names: readonly string[],
): Promise<LambdaHandler | LiftApp> {
  return pickExport(await loadModule(reference, modules), reference, names);
}

/** Loads a module. @throws {CliError} FAILED, with the cause, when the module throws */
export function loadModule(reference: Reference, modules: ProjectModules): Promise<ModuleExports> {
  return modules.load(reference.file).catch((cause: unknown) => {
    throw loadError(reference, cause);
  });
}

/**
 * Loads the listener of the HTTP requests outside the API: `(request, response) => void`, as for Node's HTTP server.
 * @throws {CliError} USAGE when the module has no listener; FAILED, with the cause, when it throws
 */
export async function loadListener(reference: Reference): Promise<RequestListener> {
  const exports = await import(pathToFileURL(reference.file).href).catch((cause: unknown) => {
    throw loadError(reference, cause);
  });
  const listener = pickExport(exports, reference, ["default"]);
  if (typeof listener === "function") return listener as unknown as RequestListener;
  throw new CliError(
    "USAGE",
    `${displayPath(reference.file)} is a Lift app; --http needs (request, response) => void`,
  );
}
