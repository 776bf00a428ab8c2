import { readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import type { LambdaAuthorizer, LambdaHandler, WebSocketEvent } from "../../apigw/index.ts";
import { type ApiHosts, LambdaFunction } from "../../lambda-emulator/index.ts";
import { CliError } from "../errors.ts";
import { displayPath, parseReference } from "../project/handlers.ts";
import type { LoadedApp } from "../project/loaded-app.ts";
import type { RouteEnvironment } from "../project/route-environment.ts";
import { readRoutesFile } from "../project/routes-file.ts";

const ROUTES_FILE = "routes.json";

/** Settings of all functions in a folder. */
export interface FunctionSettings {
  readonly environment: { readonly [name: string]: string };
  readonly region: string;
  readonly timeoutMs: number;
  readonly processes: number;
  readonly apiHosts: ApiHosts;
  readonly log: (functionName: string, line: string) => void;
}

/**
 * Checks that a folder has what an API needs, without starting anything.
 * @throws {CliError} USAGE
 */
export async function assertFunctionFolder(folder: string): Promise<void> {
  const names = readdirSync(folder);
  if (names.includes(ROUTES_FILE)) {
    const { routes, authorizer } = await readRoutesFile(join(folder, ROUTES_FILE));
    for (const text of [...routes.values(), authorizer]) if (text !== undefined) locate(folder, text);
  } else if (!names.includes("router")) {
    const message = `${displayPath(folder)} needs a ${ROUTES_FILE} or a folder router with an index.mjs`;
    throw new CliError("USAGE", message);
  } else locate(folder, "./router/index.mjs");
}

/**
 * Finds the file of a function.
 * @param text `./router/index.mjs` or `./router/index.mjs#export`
 * @throws {CliError} USAGE: the file does not exist, or is not in a subfolder
 */
function locate(folder: string, text: string): { path: string; name: string; exportName: string } {
  const { file, exportName = "handler" } = parseReference(text, folder);
  const path = relative(folder, file).replaceAll(sep, "/");
  const name = functionName(path);
  if (name !== path && name !== "..") return { path, name, exportName };
  throw new CliError("USAGE", `${displayPath(file)} must be in a subfolder of ${displayPath(folder)}`);
}

/** A folder of Lambda bundles, each in a folder with the function's name. */
export class FunctionFolder {
  readonly #folder: string;
  readonly #settings: FunctionSettings;
  readonly #functions = new Map<string, LambdaFunction>();

  constructor(folder: string, settings: FunctionSettings) {
    this.#folder = folder;
    this.#settings = settings;
  }

  get names(): string[] {
    return [...new Set([...this.#functions.keys()].map(functionName))];
  }

  /** Returns the handlers of the API. @throws {CliError} USAGE */
  async load(): Promise<LoadedApp> {
    return this.#has(ROUTES_FILE) ? this.#byRoutesFile(join(this.#folder, ROUTES_FILE)) : this.#byName();
  }

  /** The scheduled function, if the folder has one. */
  get tick(): LambdaFunction | undefined {
    return this.find("tick");
  }

  /** The function for the stream of the message table, if the folder has one. */
  get fanOut(): LambdaFunction | undefined {
    return this.find("fanout");
  }

  /** The function for the stream of the request table, if the folder has one. The schedule calls it too. */
  get dispatch(): LambdaFunction | undefined {
    return this.find("dispatch");
  }

  /** Returns the function with a name, if the folder has one. */
  find(name: string): LambdaFunction | undefined {
    return this.#has(name) ? this.#inFolder(name) : undefined;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#functions.values()].map((it) => it.stop()));
  }

  async #byRoutesFile(path: string): Promise<LoadedApp> {
    const file = await readRoutesFile(path);
    const handlers = new Map(
      [...file.routes].map(
        ([key, text]) => [key, this.#functionAt(text, file.environments?.get(key)).handler] as const,
      ),
    );
    const authorizer =
      file.authorizer === undefined
        ? undefined
        : this.#functionAt(file.authorizer, file.authorizerEnvironment).handler;
    return { kind: "routes", file, handlers, authorizer: authorizer as LambdaAuthorizer | undefined };
  }

  /** Finds the functions by name: `connect`, `disconnect`, and `router` for all messages. */
  #byName(): LoadedApp {
    const accept: LambdaHandler = async () => ({ statusCode: 200 });
    const [connect, disconnect] = ["connect", "disconnect"].map((name) =>
      this.#has(name) ? this.#inFolder(name).handler : accept,
    );
    const router = this.#inFolder("router").handler;
    const handlers = { CONNECT: connect!, MESSAGE: router, DISCONNECT: disconnect! };
    const handler = (event: WebSocketEvent) => (handlers[event.requestContext.eventType] as Invoke)(event);
    return { kind: "handler", handler };
  }

  #has(name: string): boolean {
    return readdirSync(this.#folder).includes(name);
  }

  #inFolder(name: string): LambdaFunction {
    return this.#functionAt(`./${name}/index.mjs`);
  }

  /** @param text as for `locate` */
  #functionAt(text: string, routeEnvironment: RouteEnvironment = {}): LambdaFunction {
    const { path, name, exportName } = locate(this.#folder, text);
    const key = `${path}#${exportName}${JSON.stringify(routeEnvironment)}`;
    const known = this.#functions.get(key);
    if (known !== undefined) return known;
    const code = path.slice(name.length + 1).replace(/\.[cm]?js$/, "");
    const { environment, region, timeoutMs, processes, apiHosts, log } = this.#settings;
    const created = new LambdaFunction({
      name,
      directory: join(this.#folder, name),
      handler: `${code}.${exportName}`,
      environment: { ...environment, ...routeEnvironment },
      region,
      timeoutMs,
      processes,
      apiHosts,
      log: (line) => log(name, line),
    });
    this.#functions.set(key, created);
    return created;
  }
}

type Invoke = (event: WebSocketEvent) => unknown;

/** Returns the first folder of a path. */
function functionName(path: string): string {
  return path.split("/", 1)[0]!;
}
