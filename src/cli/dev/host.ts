import type { IncomingMessage, ServerResponse } from "node:http";
import type { LambdaAuthorizer, LambdaHandler } from "../../apigw/index.ts";
import { createGateway, type Gateway, type GatewayOptions } from "../../gateway/index.ts";
import { CliError } from "../errors.ts";
import type { LoadedApp } from "../project/loaded-app.ts";
import { serveFunctionUrl } from "./function-url.ts";
import { ReloadedConnections, ReloadedSchedule } from "./reloaded-state.ts";

type HostOptions = Omit<GatewayOptions, "authorizer" | "everySecond" | "handler" | "routes">;

const TICKETS_PATH = "/tickets";

/** What a scheduled function is given on AWS, where it is called once a minute. */
const TICK_MS = 60_000;

/** A gateway, and the program that it runs: which can be put in the place of another while sockets are open. */
export class DevHost {
  readonly gateway: Gateway;
  readonly #routes = new Map<string, LambdaHandler>();
  readonly #rows = new ReloadedConnections();
  readonly #schedule = new ReloadedSchedule();
  readonly #onError: (error: unknown) => void;
  #program: LoadedApp;

  /** @throws {GatewayError} INVALID_OPTION */
  constructor(program: LoadedApp, options: HostOptions, onError: (error: unknown) => void) {
    this.#program = program;
    this.#onError = onError;
    this.gateway = createGateway({
      ...options,
      ...this.#integrations(program),
      everySecond: () => this.#tick(),
      http: (request, response) => this.#http(request, response, options.http),
    });
    this.#fillRoutes(program);
  }

  get routeKeys(): string[] {
    return [...this.#routes.keys()];
  }

  /**
   * From the next event on `program` answers; events under way end on the one before.
   * @throws {CliError} FAILED, when the change is one that the gateway takes at its start only
   */
  replace(program: LoadedApp): void {
    if (fixedSettings(program) !== fixedSettings(this.#program)) {
      throw new CliError("FAILED", "The API itself has changed, not only its handlers: restart to use it");
    }
    this.#program = program;
    this.#fillRoutes(program);
  }

  #integrations(program: LoadedApp): Pick<GatewayOptions, "handler" | "routes" | "authorizer"> & {
    routeSelectionExpression?: string;
    routeResponses?: readonly string[];
    identitySources?: readonly string[];
    stageVariables?: { readonly [name: string]: string };
  } {
    if (program.kind === "handler") return { handler: forwardTo(() => this.#handler()) };
    if (program.kind === "app") return { routes: this.#routes };
    const { routeSelectionExpression, routeResponses, identitySources, stageVariables } = program.file;
    return {
      routes: this.#routes,
      ...(program.authorizer && { authorizer: forwardTo(() => this.#authorizer()) }),
      ...(routeSelectionExpression !== undefined && { routeSelectionExpression }),
      ...(routeResponses && { routeResponses }),
      ...(identitySources && { identitySources }),
      ...(stageVariables && { stageVariables }),
    };
  }

  #fillRoutes(program: LoadedApp): void {
    this.#routes.clear();
    for (const [key, handler] of this.#handlers(program)) this.#routes.set(key, handler);
  }

  #handlers(program: LoadedApp): Iterable<readonly [string, LambdaHandler]> {
    if (program.kind === "handler") return [];
    if (program.kind === "routes") return program.handlers;
    const { app } = program;
    const handler = app.webSocketHandler({ connections: this.gateway });
    this.#rows.moveTo(app.connectionStore);
    void this.#schedule.moveTo(app.schedule);
    const watched = this.#rows.watch(handler, app.connectionStore);
    return [...app.routeKeys].map((key) => [key, watched] as const);
  }

  /** Where tickets are given, if they are. */
  get ticketsUrl(): string | undefined {
    const { origin } = new URL(this.gateway.endpoint);
    return this.#program.tickets && `${origin}${TICKETS_PATH}`;
  }

  /** @param other answers what asks for no ticket */
  #http(request: IncomingMessage, response: ServerResponse, other: GatewayOptions["http"]): void {
    const { tickets } = this.#program;
    if (tickets === undefined || request.url?.split("?", 1)[0] !== TICKETS_PATH) {
      if (other === undefined) response.writeHead(404, { "content-length": 0 }).end();
      else other(request, response);
      return;
    }
    serveFunctionUrl(tickets, request, response).catch((error) => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502, { "content-length": 0 }).end();
      this.#onError(error);
    });
  }

  /** Whether there is something to call every second. */
  get hasTick(): boolean {
    if (this.#program.kind === "handler") return this.#program.tick !== undefined;
    return this.#program.kind === "app" && this.#program.app.schedule !== undefined;
  }

  /** In place of the scheduled function. */
  async #tick(): Promise<void> {
    if (this.#program.kind === "handler") {
      const until = performance.now() + TICK_MS;
      await this.#program.tick?.(
        {},
        { getRemainingTimeInMillis: () => Math.max(0, until - performance.now()) },
      );
    }
    if (this.#program.kind !== "app") return;
    const { app } = this.#program;
    await this.#schedule.moveItems();
    if (app.schedule !== undefined) await app.tick?.({ connections: this.gateway });
  }

  #handler(): LambdaHandler {
    return (this.#program as Extract<LoadedApp, { kind: "handler" }>).handler;
  }

  #authorizer(): LambdaAuthorizer {
    return (this.#program as Extract<LoadedApp, { kind: "routes" }>).authorizer!;
  }
}

/** What a gateway can't be told again, in a form to compare. */
function fixedSettings(program: LoadedApp): string {
  if (program.kind !== "routes") return program.kind;
  const { apiId, routeSelectionExpression, routeResponses, identitySources, stageVariables } = program.file;
  const hasAuthorizer = program.authorizer !== undefined;
  return JSON.stringify([
    apiId,
    hasAuthorizer,
    routeSelectionExpression,
    routeResponses,
    identitySources,
    stageVariables,
  ]);
}

/** A handler that calls whichever is the current one. */
function forwardTo<Event>(current: () => LambdaHandler<Event>): LambdaHandler<Event> {
  const forward: LambdaHandler<Event> = (event, context, callback) => current()(event, context, callback);
  // By its number of parameters the gateway tells whether a handler ends by its callback.
  return Object.defineProperty(forward, "length", { get: () => current().length });
}
