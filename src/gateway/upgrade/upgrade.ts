import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { WebSocketServer } from "ws";
import { type AuthorizerContext, isSuccess, type WebSocketResult } from "../../apigw/index.ts";
import { isHttpToken } from "../../internal/http-token.ts";
import type { ConnectionDetails } from "../connection-details.ts";
import { type Dispatcher, errorText } from "../messages/dispatch.ts";
import {
  connectArn,
  createAuthorizerEvent,
  createConnectEvent,
  createDisconnectEvent,
} from "../messages/events.ts";
import type { Invoker, Outcome, RouteOutcome } from "../messages/invoke.ts";
import { acceptsConnection, outcomeStatus } from "../messages/invoke.ts";
import type { GatewaySettings } from "../options.ts";
import { CLOSE_REASONS } from "../sockets/close-codes.ts";
import { createId } from "../sockets/ids.ts";
import type { ConnectionRegistry } from "../sockets/registry.ts";
import { ClientSocket, LiveConnection } from "../sockets/socket.ts";
import type { Throttle } from "../throttle.ts";
import { evaluatePolicy, hasIdentity } from "./authorizer.ts";
import type { BrowserAccess } from "./browser-access.ts";
import { readSourceIp } from "./source-ip.ts";

/** Time for a peer to answer a close frame before its transport is destroyed, in ms. Nothing else waits for it. */
const CLOSE_HANDSHAKE_MS = 5_000;

/** Messages of the service in a refusal's body, when they differ from the status text. */
const REFUSAL_MESSAGES: ReadonlyMap<number, string> = new Map([
  [500, "Internal server error"],
  [502, "Internal server error"],
  [504, "Endpoint request timed out"],
]);

/** A refused upgrade, with the status of the response. */
class UpgradeRefusal {
  readonly status: number;
  /** True when a handler was called, because its event has then been reported. */
  readonly reported: boolean;

  constructor(status: number, reported = false) {
    this.status = status;
    this.reported = reported;
  }
}

interface UpgradeDependencies {
  readonly settings: GatewaySettings;
  readonly registry: ConnectionRegistry;
  readonly invoker: Invoker;
  readonly dispatcher: Dispatcher;
  /** Rate of new connections. */
  readonly connects: Throttle;
  /** Rate of messages, connects and @connections calls. */
  readonly requests: Throttle;
  readonly access: BrowserAccess;
  /** Returns the `domainName` of events. */
  domainName(): string;
  /** Returns the host that the gateway listens on. */
  listeningHost(): string;
}

/** Opens a connection for an upgrade request when `$connect` succeeds, or refuses the request with its status. */
export class UpgradeHandler {
  readonly #dependencies: UpgradeDependencies;
  readonly #server: WebSocketServer;
  /** Subprotocols that `$connect` handlers chose, until `ws` writes the handshake. */
  readonly #subprotocols = new WeakMap<IncomingMessage, string>();
  #stopping = false;
  #closingSockets = false;

  constructor(dependencies: UpgradeDependencies) {
    this.#dependencies = dependencies;
    // A variable and not a literal, because closeTimeout is missing from the types.
    const options = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: Number.isFinite(dependencies.settings.limits.messageBytes)
        ? dependencies.settings.limits.messageBytes
        : 0,
      closeTimeout: CLOSE_HANDSHAKE_MS,
      handleProtocols: () => false as const,
      WebSocket: ClientSocket,
    };
    this.#server = new WebSocketServer(options);
    this.#server.on("headers", (headers, request) => {
      const protocol = this.#subprotocols.get(request);
      if (protocol !== undefined) headers.push(`Sec-WebSocket-Protocol: ${protocol}`);
    });
  }

  /** Refuses upgrades with 503 from now on, except those whose `$connect` is running. */
  stop(): void {
    this.#stopping = true;
  }

  /** Closes connections of late `$connect` handlers at once from now on, because the open ones are being closed. */
  startClosing(): void {
    this.#closingSockets = true;
  }

  async handle(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    socket.on("error", ignore);
    const connectionId = createId();
    try {
      this.#check(request);
      const details = this.#details(request, connectionId);
      const authorizer = await this.#authorize(request, details);
      await this.#connect(request, socket, head, { ...details, authorizer });
    } catch (error) {
      const { status, reported } = error instanceof UpgradeRefusal ? error : new UpgradeRefusal(500);
      const requestId = createId();
      writeRefusal(socket, status, connectionId, requestId);
      if (!reported) {
        const { onEvent } = this.#dependencies.settings;
        onEvent?.({ routeKey: "$connect", connectionId, requestId, status, durationMs: 0 });
      }
      if (!(error instanceof UpgradeRefusal)) throw error;
    }
  }

  /** Checks a request before any handler is called. @throws {UpgradeRefusal} */
  #check(request: IncomingMessage): void {
    const { settings, access, connects, requests } = this.#dependencies;
    const url = request.url ?? "/";
    const { "sec-websocket-key": key, "sec-websocket-version": version } = request.headers;
    if (this.#stopping) throw new UpgradeRefusal(503);
    if (!access.allowsHost(request, this.#dependencies.listeningHost())) throw new UpgradeRefusal(403);
    if (url.length > settings.limits.urlLength) throw new UpgradeRefusal(414);
    if (!isServicePath(url, settings.basePath)) throw new UpgradeRefusal(403);
    // HTTP/1.0 has no upgrade: https://www.rfc-editor.org/rfc/rfc9110#section-7.8
    if (request.httpVersion !== "1.1") throw new UpgradeRefusal(400);
    if (request.method !== "GET" || request.headers.upgrade?.toLowerCase() !== "websocket")
      throw new UpgradeRefusal(400);
    if (!/^[+/0-9A-Za-z]{22}==$/.test(key ?? "")) throw new UpgradeRefusal(400);
    if (version !== "13") throw new UpgradeRefusal(426);
    if (!areValidSubprotocols(request.headers["sec-websocket-protocol"])) throw new UpgradeRefusal(400);
    if (!access.allowsOrigin(request)) throw new UpgradeRefusal(403);
    if (!connects.take() || !requests.take()) throw new UpgradeRefusal(429);
  }

  #details(request: IncomingMessage, connectionId: string): ConnectionDetails {
    const { settings, domainName } = this.#dependencies;
    return {
      connectionId,
      connectedAt: settings.clock.now(),
      startedAt: settings.clock.elapsed(),
      sourceIp: readSourceIp(request, settings.trustProxy),
      userAgent: request.headers["user-agent"],
      domainName: domainName(),
      authorizer: undefined,
    };
  }

  async #authorize(
    request: IncomingMessage,
    details: ConnectionDetails,
  ): Promise<AuthorizerContext | undefined> {
    const { settings, invoker } = this.#dependencies;
    const { authorizer, clock, limits, onEvent } = settings;
    if (!authorizer) return undefined;
    const event = createAuthorizerEvent(createConnectEvent(request, details, settings), settings);
    if (!hasIdentity(settings.identitySources, event)) throw new UpgradeRefusal(401);
    const startedAt = clock.elapsed();
    const outcome = await new Promise<Outcome>((settle) =>
      invoker.run(authorizer, event, "authorizer", settle),
    );
    const durationMs = Math.round(clock.elapsed() - startedAt);
    const decision = evaluatePolicy(outcome, connectArn(settings), limits.authorizerResultBytes, durationMs);
    onEvent?.({
      routeKey: "authorizer",
      connectionId: details.connectionId,
      requestId: event.requestContext.requestId,
      status: decision.allowed ? 200 : decision.status,
      durationMs,
      ...(!decision.allowed && decision.error !== undefined && { error: decision.error }),
    });
    if (!decision.allowed) throw new UpgradeRefusal(decision.status, true);
    return decision.context;
  }

  async #connect(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    details: ConnectionDetails,
  ): Promise<void> {
    const { settings, dispatcher } = this.#dependencies;
    if (this.#stopping) throw new UpgradeRefusal(503);
    const handler = dispatcher.handlerFor("$connect");
    if (handler) {
      const event = createConnectEvent(request, details, settings);
      const abandonLate = (late: Outcome) => {
        if (late.kind === "answered" && acceptsConnection(late.value)) this.#abandon(details);
      };
      const outcome = await new Promise<RouteOutcome>((settle) =>
        dispatcher.invoke(handler, event, settle, abandonLate),
      );
      try {
        const protocol = readConnectOutcome(outcome);
        if (protocol !== undefined) this.#subprotocols.set(request, protocol);
      } catch (refusal) {
        if (acceptsConnection(connectResult(outcome))) this.#abandon(details);
        throw refusal;
      }
    }
    this.#open(request, socket, head, details);
  }

  #open(request: IncomingMessage, transport: Socket, head: Buffer, details: ConnectionDetails): void {
    const { settings, registry, dispatcher } = this.#dependencies;
    let opened = false;
    this.#server.handleUpgrade(request, transport, head, (socket) => {
      opened = true;
      transport.removeListener("error", ignore);
      const connection = new LiveConnection(socket as ClientSocket, transport, details, settings, dispatcher);
      registry.add(connection);
      if (this.#closingSockets) connection.close(CLOSE_REASONS.goingAway);
    });
    // The client has disconnected in the meantime.
    if (!opened) this.#abandon(details);
  }

  /** Runs `$disconnect` for a client that `$connect` accepted but whose connection was not opened. */
  #abandon(details: ConnectionDetails): void {
    const { settings, dispatcher } = this.#dependencies;
    const { code, reason } = CLOSE_REASONS.abnormal;
    dispatcher.disconnect(createDisconnectEvent(code, reason, createId(), details, settings));
  }
}

/** Returns the subprotocol that `$connect` chose. @throws {UpgradeRefusal} when it did not accept the client */
function readConnectOutcome(outcome: RouteOutcome): string | undefined {
  const status = outcomeStatus(outcome);
  // After a 1xx the client would wait for the final response, or take it for the handshake (101).
  if (status < 200) throw new UpgradeRefusal(502, true);
  if (!isSuccess(status) || outcome.kind !== "answered") throw new UpgradeRefusal(status, true);
  const protocol = findSubprotocol(outcome.result);
  if (protocol !== undefined && !isHttpToken(protocol)) throw new UpgradeRefusal(502, true);
  return protocol;
}

/** Returns the result of `$connect`, valid or not; `undefined` when it is unknown. */
function connectResult(outcome: RouteOutcome): unknown {
  if (outcome.kind === "answered") return outcome.result;
  return outcome.kind === "failed" ? outcome.answer : undefined;
}

/** Returns whether a URL has the path `/{basePath}`, with any query. */
export function isServicePath(url: string, basePath: string): boolean {
  const path = url.split("?", 1)[0];
  return path === `/${basePath}` || path === `/${basePath}/`;
}

function areValidSubprotocols(header: string | undefined): boolean {
  if (header === undefined) return true;
  const names = header.split(",").map((name) => name.trim());
  return names.every((name) => isHttpToken(name)) && new Set(names).size === names.length;
}

function findSubprotocol({ headers, multiValueHeaders }: WebSocketResult): string | undefined {
  const isSubprotocolHeader = ([name]: [string, unknown]) => name.toLowerCase() === "sec-websocket-protocol";
  const single = Object.entries(headers ?? {}).find(isSubprotocolHeader)?.[1];
  // The value may have any type, because results are not validated. An object becomes "", which is not a token.
  const lastOfMany = [Object.entries(multiValueHeaders ?? {}).find(isSubprotocolHeader)?.[1]].flat().at(-1);
  const chosen = single ?? lastOfMany ?? undefined;
  if (chosen === undefined) return undefined;
  return typeof chosen === "object" ? "" : String(chosen);
}

function writeRefusal(socket: Socket, status: number, connectionId: string, requestId: string): void {
  const body = errorText(
    REFUSAL_MESSAGES.get(status) ?? STATUS_CODES[status] ?? "Refused",
    connectionId,
    requestId,
  );
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Refused"}`,
      "Connection: close",
      "Content-Type: application/json",
      `Content-Length: ${Buffer.byteLength(body)}`,
      `x-amzn-requestid: ${crypto.randomUUID()}`,
      `x-amz-apigw-id: ${requestId}`,
      ...(status === 426 ? ["Sec-WebSocket-Version: 13", "Upgrade: websocket"] : []),
      "",
      body,
    ].join("\r\n"),
  );
  socket.once("finish", () => socket.destroy());
}

function ignore(): void {}
