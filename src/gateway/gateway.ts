import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type {
  BroadcastOptions,
  BroadcastReport,
  ConnectionInfo,
  Connections,
  MessageData,
  PostOptions,
  PostOutcome,
} from "../apigw/index.ts";
import { isLoopback } from "../internal/this-machine.ts";
import { type Clock, repeat, type Timer } from "./clock.ts";
import { ConnectionsApi, parseConnectionsPath, respondForbidden } from "./connections-api/connections-api.ts";
import { LocalConnections } from "./connections-api/local-connections.ts";
import { GatewayError } from "./errors.ts";
import { Listener } from "./listener.ts";
import { Dispatcher } from "./messages/dispatch.ts";
import { Invoker } from "./messages/invoke.ts";
import type { GatewayOptions, GatewaySettings } from "./options.ts";
import { readOptions } from "./read-options.ts";
import { CLOSE_REASONS } from "./sockets/close-codes.ts";
import { ConnectionRegistry } from "./sockets/registry.ts";
import { warnUnhandled } from "./unhandled-errors.ts";
import { BrowserAccess } from "./upgrade/browser-access.ts";
import { Throttle } from "./upgrade/throttle.ts";
import { isServicePath, UpgradeHandler } from "./upgrade/upgrade.ts";

export interface ListenOptions {
  /** Default 3001; 0 takes any free one. */
  readonly port?: number;
  /** Default `127.0.0.1`. Beyond loopback the gateway needs `credentials`. */
  readonly host?: string;
}

export interface StopOptions {
  /** ms that invocations in flight get to finish. Default 5,000. */
  readonly drainMs?: number;
  /** ms over which open sockets are closed, so that their clients do not all come back at once. Default 2,000. */
  readonly spreadMs?: number;
}

/** A running API: the server, and its @connections port. */
export interface Gateway extends Connections {
  /**
   * Starts to listen.
   * @throws {GatewayError} ADDRESS_IN_USE, CREDENTIALS_REQUIRED, NOT_LISTENABLE
   */
  listen(options?: ListenOptions): Promise<void>;
  /**
   * Stops gracefully: no new upgrades, invocations in flight finish, every socket is closed with 1001 and its
   * `$disconnect` runs. Twice waits for the first.
   */
  close(options?: StopOptions): Promise<void>;
  /** Where clients connect: `ws://127.0.0.1:3001/dev`. Throws NOT_LISTENING before `listen`. */
  readonly url: string;
  /** Where @connections answers: `http://127.0.0.1:3001/dev`. Throws NOT_LISTENING before `listen`. */
  readonly endpoint: string;
  /** Throws NOT_LISTENING before `listen`. */
  readonly port: number;
  /** Open connections. */
  readonly size: number;
}

/**
 * An API Gateway WebSocket API on this machine: sockets become the service's events, handlers answer them.
 * @throws {GatewayError} INVALID_OPTION
 */
export function createGateway(options: GatewayOptions): Gateway {
  return new LocalGateway(readOptions(options));
}

const SECOND_MS = 1_000;

const HEALTH_PATH = "/healthz";

/** Sockets are closed in so many steps, spread over the stop's time. */
const CLOSE_STEPS = 20;

class LocalGateway implements Gateway {
  readonly #settings: GatewaySettings;
  readonly #registry: ConnectionRegistry;
  readonly #invoker: Invoker;
  readonly #delivery: LocalConnections;
  readonly #access: BrowserAccess;
  readonly #dispatcher: Dispatcher;
  readonly #management: ConnectionsApi;
  readonly #upgrades: UpgradeHandler;
  readonly #listener: Listener;
  #address: { readonly host: string; readonly port: number } | undefined;
  #closed: Promise<void> | undefined;
  #repeating: Timer | undefined;

  constructor(settings: GatewaySettings) {
    const { clock, limits } = settings;
    const requests = new Throttle(limits.requestsPerSecond, limits.requestBurst, clock);
    const connects = new Throttle(limits.connectionsPerSecond, limits.connectionsPerSecond, clock);
    this.#settings = settings;
    this.#registry = new ConnectionRegistry(clock, limits);
    this.#invoker = new Invoker(settings);
    this.#delivery = new LocalConnections(this.#registry, requests, settings);
    this.#access = new BrowserAccess(settings);
    this.#management = new ConnectionsApi(this.#delivery, settings);
    this.#dispatcher = new Dispatcher(settings, this.#registry, this.#invoker, requests);
    this.#upgrades = new UpgradeHandler({
      settings,
      registry: this.#registry,
      invoker: this.#invoker,
      dispatcher: this.#dispatcher,
      connects,
      requests,
      access: this.#access,
      domainName: () => this.#domainName,
      boundTo: () => this.#listening.host,
    });
    this.#listener = new Listener(
      (request, response) => this.#request(request, response),
      (request, socket, head) => this.#upgrade(request, socket, head),
      settings.tls,
    );
  }

  async listen({ port = 3001, host = "127.0.0.1" }: ListenOptions = {}): Promise<void> {
    if (this.#address || this.#closed) throw new GatewayError("NOT_LISTENABLE", "A gateway listens once");
    if (!isLoopback(host) && this.#settings.credentials.length === 0) {
      throw new GatewayError(
        "CREDENTIALS_REQUIRED",
        `Listening on ${host} opens @connections to the network: set credentials, so that signatures are verified`,
      );
    }
    this.#address = { host, port: await this.#listener.listen(port, host) };
    const { clock, everySecond } = this.#settings;
    if (everySecond === undefined || this.#closed) return;
    this.#repeating = repeat(clock, SECOND_MS, async () => {
      try {
        await everySecond();
      } catch (error) {
        warnUnhandled(error);
      }
    });
  }

  close({ drainMs = 5_000, spreadMs = 2_000 }: StopOptions = {}): Promise<void> {
    this.#closed ??= this.#stop(drainMs, spreadMs);
    return this.#closed;
  }

  get port(): number {
    return this.#listening.port;
  }

  get url(): string {
    return `ws://${this.#authority}/${this.#settings.basePath}`;
  }

  get endpoint(): string {
    return `http://${this.#authority}/${this.#settings.basePath}`;
  }

  get size(): number {
    return this.#registry.size;
  }

  post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    return this.#delivery.post(connectionId, data, options);
  }

  broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    return this.#delivery.broadcast(ids, data, options);
  }

  get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined> {
    return this.#delivery.get(connectionId, options);
  }

  disconnect(connectionId: string, options?: PostOptions): Promise<boolean> {
    return this.#delivery.disconnect(connectionId, options);
  }

  get #listening() {
    if (!this.#address)
      throw new GatewayError("NOT_LISTENING", "The gateway does not listen: call listen() first");
    return this.#address;
  }

  get #authority(): string {
    const { host, port } = this.#listening;
    return `${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  get #domainName(): string {
    return (
      this.#settings.domainName ??
      (isWildcard(this.#listening.host) ? `localhost:${this.port}` : this.#authority)
    );
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    void this.#upgrades.handle(request, socket, head).catch(warnUnhandled);
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const { basePath, http } = this.#settings;
    const url = request.url ?? "/";
    const managed = parseConnectionsPath(url);
    if (!this.#access.allowsHost(request, this.#listening.host)) {
      respondForbidden(response);
    } else if (managed?.basePath === basePath) {
      this.#management.handle(managed.connectionId, request, response).catch((error) => {
        response.destroy();
        warnUnhandled(error);
      });
    } else if (isServicePath(url, basePath)) {
      response.writeHead(426, { upgrade: "websocket", connection: "upgrade", "content-length": 0 }).end();
    } else if (managed || url.startsWith(`/${basePath}/`)) {
      respondForbidden(response);
    } else if (url === HEALTH_PATH) {
      respondHealth(response, this.#closed === undefined);
    } else if (http) {
      http(request, response);
    } else {
      response.writeHead(404, { "content-length": 0 }).end();
    }
  }

  async #stop(drainMs: number, spreadMs: number): Promise<void> {
    const { clock } = this.#settings;
    this.#repeating?.cancel();
    this.#upgrades.stop();
    await this.#invoker.drain(drainMs);
    this.#upgrades.startClosing();
    const connections = [...this.#registry.values()];
    const steps = Math.min(CLOSE_STEPS, connections.length);
    for (let step = 0; step < steps; step++) {
      if (step > 0) await delay(clock, spreadMs / steps);
      for (let i = step; i < connections.length; i += steps) connections[i]!.close(CLOSE_REASONS.goingAway);
    }
    // Now it is the $disconnects that are in flight, and a $connect that ends meanwhile brings another one.
    const until = clock.elapsed() + drainMs;
    await this.#dispatcher.disconnectsStarted();
    while (this.#invoker.isBusy && clock.elapsed() < until) {
      await this.#invoker.drain(until - clock.elapsed());
      await this.#dispatcher.disconnectsStarted();
    }
    this.#invoker.stop();
    this.#registry.stop();
    if (this.#address) await this.#listener.close();
  }
}

function respondHealth(response: ServerResponse, healthy: boolean): void {
  const body = JSON.stringify({ status: healthy ? "ok" : "stopping" });
  response.writeHead(healthy ? 200 : 503, { "content-type": "application/json" }).end(body);
}

function delay(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimeout(resolve, ms));
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
