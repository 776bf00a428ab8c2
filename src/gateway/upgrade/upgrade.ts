import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { WebSocketServer } from "ws";
import { type AuthorizerContext, isSuccess, type WebSocketResult } from "../../apigw/index.ts";
import { type Dispatcher, errorText } from "../messages/dispatch.ts";
import {
  type ConnectionDetails,
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
import { evaluatePolicy, hasIdentity } from "./authorizer.ts";
import type { BrowserAccess } from "./browser-access.ts";
import { readSourceIp } from "./source-ip.ts";
import type { Throttle } from "./throttle.ts";

/** ms that a peer gets to answer a close frame before its transport is cut. Nothing else waits for it. */
const CLOSE_HANDSHAKE_MS = 5_000;

/** RFC 9110's token: what a subprotocol's name is made of. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The message in a refusal's body, where the service has one of its own. */
const REFUSAL_MESSAGES: ReadonlyMap<number, string> = new Map([
  [500, "Internal server error"],
  [502, "Internal server error"],
  [504, "Endpoint request timed out"],
]);

/** Why an upgrade is refused: the status that the client's request gets. */
class UpgradeRefusal {
  readonly status: number;
  /** Whether a handler was asked, so that its event has been reported. */
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
  /** New connections. */
  readonly connects: Throttle;
  /** Everything that the account's request rate covers. */
  readonly requests: Throttle;
  readonly access: BrowserAccess;
  domainName(): string;
  /** The host that the gateway listens on. */
  boundTo(): string;
}

/** Turns an upgrade request into a connection: held until `$connect` has ended, refused with its status. */
export class UpgradeHandler {
  readonly #parts: UpgradeDependencies;
  readonly #server: WebSocketServer;
  /** The subprotocol that a `$connect` chose, until `ws` writes the handshake. */
  readonly #chosen = new WeakMap<IncomingMessage, string>();
  #stopping = false;
  #drained = false;

  constructor(parts: UpgradeDependencies) {
    this.#parts = parts;
    // A variable, not a literal: closeTimeout is missing from the types.
    const options = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: Number.isFinite(parts.settings.limits.messageBytes)
        ? parts.settings.limits.messageBytes
        : 0,
      closeTimeout: CLOSE_HANDSHAKE_MS,
      handleProtocols: () => false as const,
      WebSocket: ClientSocket,
    };
    this.#server = new WebSocketServer(options);
    this.#server.on("headers", (headers, request) => {
      const protocol = this.#chosen.get(request);
      if (protocol !== undefined) headers.push(`Sec-WebSocket-Protocol: ${protocol}`);
    });
  }

  /** From now on every upgrade is refused with 503, unless its `$connect` runs already. */
  stop(): void {
    this.#stopping = true;
  }

  /** From now on what a late `$connect` opens is closed at once: whoever closes the open ones has begun. */
  startClosing(): void {
    this.#drained = true;
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
        const { onEvent } = this.#parts.settings;
        onEvent?.({ routeKey: "$connect", connectionId, requestId, status, durationMs: 0 });
      }
      if (!(error instanceof UpgradeRefusal)) throw error;
    }
  }

  /** What is wrong with a request before anybody is asked about it. */
  #check(request: IncomingMessage): void {
    const { settings, access, connects, requests } = this.#parts;
    const url = request.url ?? "/";
    const { "sec-websocket-key": key, "sec-websocket-version": version } = request.headers;
    if (this.#stopping) throw new UpgradeRefusal(503);
    if (!access.allowsHost(request, this.#parts.boundTo())) throw new UpgradeRefusal(403);
    if (url.length > settings.limits.urlLength) throw new UpgradeRefusal(414);
    if (!isServicePath(url, settings.basePath)) throw new UpgradeRefusal(403);
    // RFC 9110, section 7.8: HTTP/1.0 has no upgrade.
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
    const { settings, domainName } = this.#parts;
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
    const { settings, invoker } = this.#parts;
    const { authorizer, clock, limits, onEvent } = settings;
    if (!authorizer) return undefined;
    const event = createAuthorizerEvent(createConnectEvent(request, details, settings), settings);
    if (!hasIdentity(settings.identitySources, event)) throw new UpgradeRefusal(401);
    const startedAt = clock.elapsed();
    const outcome = await new Promise<Outcome>((settle) =>
      invoker.run(authorizer, event, "authorizer", settle),
    );
    const durationMs = Math.round(clock.elapsed() - startedAt);
    const verdict = evaluatePolicy(outcome, connectArn(settings), limits.authorizerResultBytes, durationMs);
    onEvent?.({
      routeKey: "authorizer",
      connectionId: details.connectionId,
      requestId: event.requestContext.requestId,
      status: verdict.allowed ? 200 : verdict.status,
      durationMs,
      ...(!verdict.allowed && verdict.error !== undefined && { error: verdict.error }),
    });
    if (!verdict.allowed) throw new UpgradeRefusal(verdict.status, true);
    return verdict.context;
  }

  async #connect(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    details: ConnectionDetails,
  ): Promise<void> {
    const { settings, dispatcher } = this.#parts;
    if (this.#stopping) throw new UpgradeRefusal(503);
    const handler = dispatcher.handler("$connect");
    if (handler) {
      const event = createConnectEvent(request, details, settings);
      const answerLate = (late: Outcome) => {
        if (late.kind === "answered" && acceptsConnection(late.value)) this.#abandon(details);
      };
      const outcome = await new Promise<RouteOutcome>((settle) =>
        dispatcher.invoke(handler, event, settle, answerLate),
      );
      try {
        const protocol = readConnectOutcome(outcome);
        if (protocol !== undefined) this.#chosen.set(request, protocol);
      } catch (refusal) {
        if (acceptsConnection(connectResult(outcome))) this.#abandon(details);
        throw refusal;
      }
    }
    this.#open(request, socket, head, details);
  }

  #open(request: IncomingMessage, transport: Socket, head: Buffer, details: ConnectionDetails): void {
    const { settings, registry, dispatcher } = this.#parts;
    let opened = false;
    this.#server.handleUpgrade(request, transport, head, (socket) => {
      opened = true;
      transport.removeListener("error", ignore);
      const connection = new LiveConnection(socket as ClientSocket, transport, details, settings, dispatcher);
      registry.add(connection);
      if (this.#drained) connection.close(CLOSE_REASONS.goingAway);
    });
    // The client has left meanwhile.
    if (!opened) this.#abandon(details);
  }

  /** Nothing was opened, but the application believes its client connected: it must hear of the end. */
  #abandon(details: ConnectionDetails): void {
    const { settings, dispatcher } = this.#parts;
    const { code, reason } = CLOSE_REASONS.abnormal;
    dispatcher.disconnect(createDisconnectEvent(code, reason, createId(), details, settings));
  }
}

/** The subprotocol that a `$connect` chose in letting its client in; throws the Refusal if it did not. */
function readConnectOutcome(outcome: RouteOutcome): string | undefined {
  const status = outcomeStatus(outcome);
  // A 1xx would leave the client waiting for the answer proper, or make it believe in a 101.
  if (status < 200) throw new UpgradeRefusal(502, true);
  if (!isSuccess(status) || outcome.kind !== "answered") throw new UpgradeRefusal(status, true);
  const protocol = findSubprotocol(outcome.result);
  if (protocol !== undefined && !TOKEN.test(protocol)) throw new UpgradeRefusal(502, true);
  return protocol;
}

/** What a `$connect` has answered, if it is known, well-formed or not. */
function connectResult(outcome: RouteOutcome): unknown {
  if (outcome.kind === "answered") return outcome.result;
  return outcome.kind === "failed" ? outcome.answer : undefined;
}

/** `/{basePath}` and nothing below it, whatever the query. */
export function isServicePath(url: string, basePath: string): boolean {
  const path = url.split("?", 1)[0];
  return path === `/${basePath}` || path === `/${basePath}/`;
}

function areValidSubprotocols(header: string | undefined): boolean {
  if (header === undefined) return true;
  const names = header.split(",").map((name) => name.trim());
  return names.every((name) => TOKEN.test(name)) && new Set(names).size === names.length;
}

function findSubprotocol({ headers, multiValueHeaders }: WebSocketResult): string | undefined {
  const isIt = ([name]: [string, unknown]) => name.toLowerCase() === "sec-websocket-protocol";
  const single = Object.entries(headers ?? {}).find(isIt)?.[1];
  // Whatever stands there: an answer is checked, not trusted. Of what is no scalar nothing remains, which is no token.
  const several = [Object.entries(multiValueHeaders ?? {}).find(isIt)?.[1]].flat().at(-1);
  const chosen = single ?? several ?? undefined;
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
