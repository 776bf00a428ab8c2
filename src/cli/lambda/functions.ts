import { readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import type { LambdaAuthorizer, LambdaHandler, WebSocketEvent } from "../../apigw/index.ts";
import { type ApiHosts, LambdaFunction } from "../../lambda-emulator/index.ts";
import { CliError } from "../errors.ts";
import { displayPath, parseReference } from "../project/handlers.ts";
import type { LoadedApp } from "../project/loaded-app.ts";
import type { RouteEnvironment } from "../project/route-environment.ts";
import { readRoutesFile } from "../project/routes-file.ts";

export interface FunctionSettings {
  readonly environment: { readonly [name: string]: string };
  readonly region: string;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly ownHosts: ApiHosts;
  readonly log: (functionName: string, line: string) => void;
}

/** A folder of bundles, each in a folder that has the function's name. */
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

  /** What the API asks. @throws {CliError} USAGE */
  async load(): Promise<LoadedApp> {
    const routes = join(this.#folder, "routes.json");
    return this.#has("routes.json") ? this.#byRoutesFile(routes) : this.#byName();
  }

  /** What a schedule calls, if the folder has it. */
  get tick(): LambdaFunction | undefined {
    return this.#has("tick") ? this.#inFolder("tick") : undefined;
  }

  /** What the stream of the messages' table calls, if the folder has it. */
  get fanOut(): LambdaFunction | undefined {
    return this.#has("fanout") ? this.#inFolder("fanout") : undefined;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#functions.values()].map((it) => it.stop()));
  }

  async #byRoutesFile(path: string): Promise<LoadedApp> {
    const file = await readRoutesFile(path);
    const handlers = new Map(
      [...file.routes].map(
        ([key, text]) => [key, this.#named(text, file.environments?.get(key)).handler] as const,
      ),
    );
    const authorizer =
      file.authorizer === undefined
        ? undefined
        : this.#named(file.authorizer, file.authorizerEnvironment).handler;
    return { kind: "routes", file, handlers, authorizer: authorizer as LambdaAuthorizer | undefined };
  }

  /** By convention: one each for connects and disconnects, one for every message, under its own key. */
  #byName(): LoadedApp {
    if (!this.#has("router")) {
      const needs = `${displayPath(this.#folder)} has neither routes.json nor a folder router with an index.mjs in it`;
      throw new CliError("USAGE", needs);
    }
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
    return this.#named(`./${name}/index.mjs`);
  }

  /** @param text `./router/index.mjs`, or with `#export` */
  #named(text: string, own: RouteEnvironment = {}): LambdaFunction {
    const { file, exportName = "handler" } = parseReference(text, this.#folder);
    const path = relative(this.#folder, file).replaceAll(sep, "/");
    const name = functionName(path);
    if (name === path || name === "..") {
      throw new CliError(
        "USAGE",
        `${displayPath(file)} is in no folder of its own in ${displayPath(this.#folder)}`,
      );
    }
    const key = `${path}#${exportName}${JSON.stringify(own)}`;
    const known = this.#functions.get(key);
    if (known !== undefined) return known;
    const code = path.slice(name.length + 1).replace(/\.[cm]?js$/, "");
    const { environment, region, timeoutMs, concurrency, ownHosts, log } = this.#settings;
    const made = new LambdaFunction({
      name,
      directory: join(this.#folder, name),
      handler: `${code}.${exportName}`,
      environment: { ...environment, ...own },
      region,
      timeoutMs,
      concurrency,
      ownHosts,
      log: (line) => log(name, line),
    });
    this.#functions.set(key, made);
    return made;
  }
}

type Invoke = (event: WebSocketEvent) => unknown;

/** The folder that a path begins with. */
function functionName(path: string): string {
  return path.split("/", 1)[0]!;
}
