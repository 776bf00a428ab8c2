import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { LambdaAuthorizer, LambdaHandler } from "../../apigw/index.ts";
import { createGateway, type Gateway, type GatewayOptions } from "../../gateway/index.ts";
import { CliError } from "../errors.ts";
import { serveFunctionUrl } from "../project/function-url.ts";
import type { LoadedApp } from "../project/loaded-app.ts";
import { ReloadedConnections, ReloadedSchedule } from "./reloaded-state.ts";

type HostOptions = Omit<GatewayOptions, "authorizer" | "everySecond" | "handler" | "routes">;

const TICKETS_PATH = "/tickets";

/** Time limit of one run of the scheduled function, as on AWS. No event may take longer. */
const TICK_TIMEOUT_MS = 60_000;

/** A gateway and the loaded app, which can be replaced while sockets are open. */
export class DevHost {
  readonly gateway: Gateway;
  readonly #routes = new Map<string, LambdaHandler>();
  readonly #connections = new ReloadedConnections();
  readonly #schedule = new ReloadedSchedule();
  readonly #onError: (error: unknown) => void;
  readonly #closing = new AbortController();
  #loaded: LoadedApp;
  /** Events and ticks of the current app that have not ended. */
  #running = new Set<Promise<unknown>>();
  /** Resolves when the previous apps have stopped. */
  #previous: Promise<unknown> = Promise.resolve();

  /** @throws {GatewayError} INVALID_OPTION */
  constructor(loaded: LoadedApp, options: HostOptions, onError: (error: unknown) => void) {
    this.#loaded = loaded;
    this.#onError = onError;
    this.gateway = createGateway({
      ...options,
      ...this.#integrations(loaded),
      everySecond: () => this.#track(this.#tick()),
      http: (request, response) => this.#http(request, response, options.http),
    });
    this.#fillRoutes(loaded);
  }

  get routeKeys(): string[] {
    return [...this.#routes.keys()];
  }

  /**
   * Uses another app from the next event on. Running events end in the previous app, which then stops.
   * @throws {CliError} FAILED when the gateway settings differ, because they are fixed at the start
   */
  replace(loaded: LoadedApp): void {
    if (fixedSettings(loaded) !== fixedSettings(this.#loaded)) {
      throw new CliError("FAILED", "The API settings have changed; restart to apply them");
    }
    this.#previous = Promise.all([this.#previous, this.#stopLater(this.#loaded, this.#running)]);
    this.#running = new Set();
    this.#loaded = loaded;
    this.#fillRoutes(loaded);
  }

  #integrations(loaded: LoadedApp): Pick<GatewayOptions, "handler" | "routes" | "authorizer"> & {
    routeSelectionExpression?: string;
    routeResponses?: readonly string[];
    identitySources?: readonly string[];
    stageVariables?: { readonly [name: string]: string };
  } {
    if (loaded.kind === "handler") return { handler: forwardTo(() => this.#handler()) };
    if (loaded.kind === "app") return { routes: this.#routes };
    const { routeSelectionExpression, routeResponses, identitySources, stageVariables } = loaded.file;
    return {
      routes: this.#routes,
      ...(loaded.authorizer && { authorizer: forwardTo(() => this.#authorizer()) }),
      ...(routeSelectionExpression !== undefined && { routeSelectionExpression }),
      ...(routeResponses && { routeResponses }),
      ...(identitySources && { identitySources }),
      ...(stageVariables && { stageVariables }),
    };
  }

  #fillRoutes(loaded: LoadedApp): void {
    this.#routes.clear();
    for (const [key, handler] of this.#activate(loaded)) this.#routes.set(key, handler);
  }

  /** Moves connections and scheduled items to the app, and returns its handlers. */
  #activate(loaded: LoadedApp): Iterable<readonly [string, LambdaHandler]> {
    if (loaded.kind === "handler") return [];
    if (loaded.kind === "routes") return loaded.handlers;
    const { app } = loaded;
    const handler = app.webSocketHandler({ connections: this.gateway });
    this.#connections.moveTo(app.connectionStore);
    void this.#schedule.moveTo(app.schedule);
    const watched = this.#connections.watch(handler, app.connectionStore);
    const tracked: LambdaHandler = (...event) => this.#track(Promise.resolve(watched(...event)));
    return [...app.routeKeys].map((key) => [key, tracked] as const);
  }

  /** The URL of the ticket handler; `undefined` without one. */
  get ticketsUrl(): string | undefined {
    const { origin } = new URL(this.gateway.endpoint);
    return this.#loaded.tickets && `${origin}${TICKETS_PATH}`;
  }

  /** @param other handles all other requests */
  #http(request: IncomingMessage, response: ServerResponse, other: GatewayOptions["http"]): void {
    const { tickets } = this.#loaded;
    if (tickets === undefined || request.url?.split("?", 1)[0] !== TICKETS_PATH) {
      if (other === undefined) response.writeHead(404, { "content-length": 0 }).end();
      else other(request, response);
      return;
    }
    this.#track(serveFunctionUrl(tickets, request, response)).catch((error) => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502, { "content-length": 0 }).end();
      this.#onError(error);
    });
  }

  /**
   * Runs the app's `onStop` actions. Call it when the gateway is closed. After a reload, the previous app's actions run when
   * its running events have ended, and now at the latest.
   */
  async stop(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#previous, stopApp(this.#loaded)]);
  }

  async #stopLater(loaded: LoadedApp, running: Iterable<Promise<unknown>>): Promise<void> {
    const { signal } = this.#closing;
    const limit = sleep(TICK_TIMEOUT_MS, undefined, { ref: false, signal }).catch(() => {});
    await Promise.race([Promise.allSettled(running), limit]);
    await stopApp(loaded);
  }

  #track<Result>(work: Promise<Result>): Promise<Result> {
    const running = this.#running;
    const end = () => running.delete(work);
    running.add(work);
    work.then(end, end);
    return work;
  }

  /** Whether the app has a scheduled function. */
  get hasTick(): boolean {
    if (this.#loaded.kind === "handler") return this.#loaded.tick !== undefined;
    return this.#loaded.kind === "app" && this.#loaded.app.schedule !== undefined;
  }

  /** Runs every second, in place of the scheduled function. */
  async #tick(): Promise<void> {
    if (this.#loaded.kind === "handler") {
      const deadline = performance.now() + TICK_TIMEOUT_MS;
      await this.#loaded.tick?.(
        {},
        { getRemainingTimeInMillis: () => Math.max(0, deadline - performance.now()) },
      );
    }
    if (this.#loaded.kind !== "app") return;
    const { app } = this.#loaded;
    await this.#schedule.moveItems();
    await app.tick?.({ connections: this.gateway });
  }

  #handler(): LambdaHandler {
    return (this.#loaded as Extract<LoadedApp, { kind: "handler" }>).handler;
  }

  #authorizer(): LambdaAuthorizer {
    return (this.#loaded as Extract<LoadedApp, { kind: "routes" }>).authorizer!;
  }
}

async function stopApp(loaded: LoadedApp): Promise<void> {
  if (loaded.kind === "app") await loaded.app.stop?.();
}

/** Returns the settings that a gateway cannot change, in a form to compare. */
function fixedSettings(loaded: LoadedApp): string {
  if (loaded.kind !== "routes") return loaded.kind;
  const { apiId, routeSelectionExpression, routeResponses, identitySources, stageVariables } = loaded.file;
  const hasAuthorizer = loaded.authorizer !== undefined;
  return JSON.stringify([
    apiId,
    hasAuthorizer,
    routeSelectionExpression,
    routeResponses,
    identitySources,
    stageVariables,
  ]);
}

/** Creates a handler that calls the current one. */
function forwardTo<Event>(current: () => LambdaHandler<Event>): LambdaHandler<Event> {
  const forward: LambdaHandler<Event> = (event, context, callback) => current()(event, context, callback);
  // The gateway reads the number of parameters to decide whether a handler ends by its callback.
  return Object.defineProperty(forward, "length", { get: () => current().length });
}
