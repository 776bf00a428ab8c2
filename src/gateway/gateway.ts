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
import { type Clock, repeat, type Timer, waitAtMost } from "./clock.ts";
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
import { Throttle } from "./throttle.ts";
import { warnUnhandled } from "./unhandled-errors.ts";
import { BrowserAccess } from "./upgrade/browser-access.ts";
import { isServicePath, UpgradeHandler } from "./upgrade/upgrade.ts";

/** Options of `Gateway.listen`. */
export interface ListenOptions {
  /** The port; 0 takes any free port. Default 3001. */
  readonly port?: number;
  /** The host name or address. A host other than loopback requires `credentials`. Default `127.0.0.1`. */
  readonly host?: string;
}

/** Options of `Gateway.close`. */
export interface StopOptions {
  /** Time for running handlers and the running call of `everySecond` to finish, in ms. Default 5,000. */
  readonly drainMs?: number;
  /** Time over which open sockets are closed, in ms, so that clients do not reconnect all at once. Default 2,000. */
  readonly spreadMs?: number;
}

/** A WebSocket API on this machine: the server, and its @connections API. */
export interface Gateway extends Connections {
  /**
   * Starts to listen. A gateway listens once.
   * @throws {GatewayError} ADDRESS_IN_USE, CREDENTIALS_REQUIRED, NOT_LISTENABLE
   */
  listen(options?: ListenOptions): Promise<void>;
  /**
   * Stops gracefully: refuses upgrades, waits for running handlers and the running call of `everySecond`, closes every socket
   * with 1001 and runs its `$disconnect`. A second call waits for the first.
   */
  close(options?: StopOptions): Promise<void>;
  /** The URL for clients: `ws://127.0.0.1:3001/dev`. Throws NOT_LISTENING before `listen`. */
  readonly url: string;
  /** The endpoint of the @connections API: `http://127.0.0.1:3001/dev`. Throws NOT_LISTENING before `listen`. */
  readonly endpoint: string;
  /** The port. Throws NOT_LISTENING before `listen`. */
  readonly port: number;
  /** Number of open connections. */
  readonly size: number;
}

/**
 * Creates an API Gateway WebSocket API on this machine. It calls Lambda handlers with the events of the service.
 * @throws {GatewayError} INVALID_OPTION
 * @example
 * const gateway = createGateway({ handler: async () => ({ statusCode: 200 }) });
 * await gateway.listen({ port: 3001 });
 * console.log(gateway.url); // "ws://127.0.0.1:3001/dev"
 */
export function createGateway(options: GatewayOptions): Gateway {
  return new LocalGateway(readOptions(options));
}

const SECOND_MS = 1_000;

const HEALTH_PATH = "/healthz";

/** Number of steps in which `close` closes the open sockets. */
const CLOSE_STEPS = 20;

class LocalGateway implements Gateway {
  readonly #settings: GatewaySettings;
  readonly #registry: ConnectionRegistry;
  readonly #invoker: Invoker;
  readonly #connections: LocalConnections;
  readonly #access: BrowserAccess;
  readonly #dispatcher: Dispatcher;
  readonly #connectionsApi: ConnectionsApi;
  readonly #upgradeHandler: UpgradeHandler;
  readonly #listener: Listener;
  #address: { readonly host: string; readonly port: number } | undefined;
  #closing: Promise<void> | undefined;
  #everySecond: Timer | undefined;
  /** The last call of `everySecond`. */
  #lastSecond: Promise<void> = Promise.resolve();

  constructor(settings: GatewaySettings) {
    const { clock, limits } = settings;
    const requests = new Throttle(limits.requestsPerSecond, limits.requestBurst, clock);
    const connects = new Throttle(limits.connectionsPerSecond, limits.connectionsPerSecond, clock);
    this.#settings = settings;
    this.#registry = new ConnectionRegistry(clock, limits);
    this.#invoker = new Invoker(settings);
    this.#connections = new LocalConnections(this.#registry, requests, settings);
    this.#access = new BrowserAccess(settings);
    this.#connectionsApi = new ConnectionsApi(this.#connections, settings);
    this.#dispatcher = new Dispatcher(settings, this.#registry, this.#invoker, requests);
    this.#upgradeHandler = new UpgradeHandler({
      settings,
      registry: this.#registry,
      invoker: this.#invoker,
      dispatcher: this.#dispatcher,
      connects,
      requests,
      access: this.#access,
      domainName: () => this.#domainName,
      listeningHost: () => this.#listening.host,
    });
    this.#listener = new Listener(
      (request, response) => this.#request(request, response),
      (request, socket, head) => this.#upgrade(request, socket, head),
      settings.tls,
    );
  }

  async listen({ port = 3001, host = "127.0.0.1" }: ListenOptions = {}): Promise<void> {
    if (this.#address || this.#closing)
      throw new GatewayError("NOT_LISTENABLE", "A gateway can listen only once; create another one");
    if (!isLoopback(host) && this.#settings.credentials.length === 0) {
      throw new GatewayError(
        "CREDENTIALS_REQUIRED",
        `Set \`credentials\` to listen on ${host}: without them anyone on the network can call @connections`,
      );
    }
    this.#address = { host, port: await this.#listener.listen(port, host) };
    const { clock, everySecond } = this.#settings;
    if (everySecond === undefined || this.#closing) return;
    this.#everySecond = repeat(clock, SECOND_MS, () => {
      this.#lastSecond = callSafely(everySecond);
      return this.#lastSecond;
    });
  }

  close({ drainMs = 5_000, spreadMs = 2_000 }: StopOptions = {}): Promise<void> {
    this.#closing ??= this.#stop(drainMs, spreadMs);
    return this.#closing;
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
    return this.#connections.post(connectionId, data, options);
  }

  broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    return this.#connections.broadcast(ids, data, options);
  }

  get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined> {
    return this.#connections.get(connectionId, options);
  }

  disconnect(connectionId: string, options?: PostOptions): Promise<boolean> {
    return this.#connections.disconnect(connectionId, options);
  }

  get #listening() {
    if (!this.#address)
      throw new GatewayError("NOT_LISTENING", "The gateway is not listening; call listen() first");
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
    void this.#upgradeHandler.handle(request, socket, head).catch(warnUnhandled);
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const { basePath, http } = this.#settings;
    const url = request.url ?? "/";
    const connectionsPath = parseConnectionsPath(url);
    if (!this.#access.allowsHost(request, this.#listening.host)) {
      respondForbidden(response);
    } else if (connectionsPath?.basePath === basePath) {
      this.#connectionsApi.handle(connectionsPath.connectionId, request, response).catch((error) => {
        response.destroy();
        warnUnhandled(error);
      });
    } else if (isServicePath(url, basePath)) {
      response.writeHead(426, { upgrade: "websocket", connection: "upgrade", "content-length": 0 }).end();
    } else if (connectionsPath || url.startsWith(`/${basePath}/`)) {
      respondForbidden(response);
    } else if (url === HEALTH_PATH) {
      respondHealth(response, this.#closing === undefined);
    } else if (http) {
      http(request, response);
    } else {
      response.writeHead(404, { "content-length": 0 }).end();
    }
  }

  async #stop(drainMs: number, spreadMs: number): Promise<void> {
    const { clock } = this.#settings;
    this.#everySecond?.cancel();
    this.#upgradeHandler.stop();
    await Promise.all([this.#invoker.drain(drainMs), waitAtMost(clock, drainMs, this.#lastSecond)]);
    this.#upgradeHandler.startClosing();
    const connections = [...this.#registry.values()];
    const steps = Math.min(CLOSE_STEPS, connections.length);
    for (let step = 0; step < steps; step++) {
      if (step > 0) await delay(clock, spreadMs / steps);
      for (let i = step; i < connections.length; i += steps) connections[i]!.close(CLOSE_REASONS.goingAway);
    }
    // Wait for the $disconnect handlers. A $connect that ends now adds another one.
    const deadline = clock.elapsed() + drainMs;
    await this.#dispatcher.disconnectsStarted();
    while (this.#invoker.isBusy && clock.elapsed() < deadline) {
      await this.#invoker.drain(deadline - clock.elapsed());
      await this.#dispatcher.disconnectsStarted();
    }
    this.#invoker.stop();
    this.#registry.stop();
    if (this.#address) await this.#listener.close();
  }
}

async function callSafely(call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (error) {
    warnUnhandled(error);
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
