import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { WebSocketServer } from "ws";
import { type AuthorizerContext, isSuccess, type WebSocketResult } from "../../apigw/index.ts";
import { type Dispatcher, errorText } from "../messages/dispatch.ts";
import {
  authorizerEvent,
  connectArn,
  connectEvent,
  disconnectEvent,
  type Origin,
} from "../messages/events.ts";
import type { Invoker, Outcome, RouteOutcome } from "../messages/invoke.ts";
import { letsIn, statusOf } from "../messages/invoke.ts";
import type { GatewaySettings } from "../options.ts";
import { ENDINGS } from "../sockets/close-codes.ts";
import { newId } from "../sockets/ids.ts";
import type { Registry } from "../sockets/registry.ts";
import { ClientSocket, LiveConnection } from "../sockets/socket.ts";
import { hasIdentity, judge } from "./authorizer.ts";
import type { BrowserAccess } from "./browser-access.ts";
import { sourceIp } from "./source-ip.ts";
import type { Throttle } from "./throttle.ts";

/** ms that a peer gets to answer a close frame before its transport is cut. Nothing else waits for it. */
const CLOSE_HANDSHAKE_MS = 5_000;

/** RFC 9110's token: what a subprotocol's name is made of. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The message in a refusal's body, where the service has one of its own. */
const REFUSALS: ReadonlyMap<number, string> = new Map([
  [500, "Internal server error"],
  [502, "Internal server error"],
  [504, "Endpoint request timed out"],
]);

/** Why an upgrade is refused: the status that the client's request gets. */
class Refusal {
  readonly status: number;
  /** Whether a handler was asked, so that its event has been reported. */
  readonly reported: boolean;

  constructor(status: number, reported = false) {
    this.status = status;
    this.reported = reported;
  }
}

interface Parts {
  readonly settings: GatewaySettings;
  readonly registry: Registry;
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
export class Upgrades {
  readonly #parts: Parts;
  readonly #server: WebSocketServer;
  /** The subprotocol that a `$connect` chose, until `ws` writes the handshake. */
  readonly #chosen = new WeakMap<IncomingMessage, string>();
  #stopping = false;
  #drained = false;

  constructor(parts: Parts) {
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
  drained(): void {
    this.#drained = true;
  }

  async handle(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    socket.on("error", ignore);
    const connectionId = newId();
    try {
      this.#check(request);
      const origin = this.#origin(request, connectionId);
      const authorizer = await this.#authorize(request, origin);
      await this.#connect(request, socket, head, { ...origin, authorizer });
    } catch (error) {
      const { status, reported } = error instanceof Refusal ? error : new Refusal(500);
      const requestId = newId();
      refuse(socket, status, connectionId, requestId);
      if (!reported) {
        const { onEvent } = this.#parts.settings;
        onEvent?.({ routeKey: "$connect", connectionId, requestId, status, durationMs: 0 });
      }
      if (!(error instanceof Refusal)) throw error;
    }
  }

  /** What is wrong with a request before anybody is asked about it. */
  #check(request: IncomingMessage): void {
    const { settings, access, connects, requests } = this.#parts;
    const url = request.url ?? "/";
    const { "sec-websocket-key": key, "sec-websocket-version": version } = request.headers;
    if (this.#stopping) throw new Refusal(503);
    if (!access.allowsHost(request, this.#parts.boundTo())) throw new Refusal(403);
    if (url.length > settings.limits.urlLength) throw new Refusal(414);
    if (!isServicePath(url, settings.basePath)) throw new Refusal(403);
    // RFC 9110, section 7.8: HTTP/1.0 has no upgrade.
    if (request.httpVersion !== "1.1") throw new Refusal(400);
    if (request.method !== "GET" || request.headers.upgrade?.toLowerCase() !== "websocket")
      throw new Refusal(400);
    if (!/^[+/0-9A-Za-z]{22}==$/.test(key ?? "")) throw new Refusal(400);
    if (version !== "13") throw new Refusal(426);
    if (!areProtocols(request.headers["sec-websocket-protocol"])) throw new Refusal(400);
    if (!access.allowsOrigin(request)) throw new Refusal(403);
    if (!connects.take() || !requests.take()) throw new Refusal(429);
  }

  #origin(request: IncomingMessage, connectionId: string): Origin {
    const { settings, domainName } = this.#parts;
    return {
      connectionId,
      connectedAt: settings.clock.now(),
      startedAt: settings.clock.elapsed(),
      sourceIp: sourceIp(request, settings.trustProxy),
      userAgent: request.headers["user-agent"],
      domainName: domainName(),
      authorizer: undefined,
    };
  }

  async #authorize(request: IncomingMessage, origin: Origin): Promise<AuthorizerContext | undefined> {
    const { settings, invoker } = this.#parts;
    const { authorizer, clock, limits, onEvent } = settings;
    if (!authorizer) return undefined;
    const event = authorizerEvent(connectEvent(request, origin, settings), settings);
    if (!hasIdentity(settings.identitySources, event)) throw new Refusal(401);
    const startedAt = clock.elapsed();
    const outcome = await new Promise<Outcome>((settle) =>
      invoker.run(authorizer, event, "authorizer", settle),
    );
    const durationMs = Math.round(clock.elapsed() - startedAt);
    const verdict = judge(outcome, connectArn(settings), limits.authorizerResultBytes, durationMs);
    onEvent?.({
      routeKey: "authorizer",
      connectionId: origin.connectionId,
      requestId: event.requestContext.requestId,
      status: verdict.allowed ? 200 : verdict.status,
      durationMs,
      ...(!verdict.allowed && verdict.error !== undefined && { error: verdict.error }),
    });
    if (!verdict.allowed) throw new Refusal(verdict.status, true);
    return verdict.context;
  }

  async #connect(request: IncomingMessage, socket: Socket, head: Buffer, origin: Origin): Promise<void> {
    const { settings, dispatcher } = this.#parts;
    if (this.#stopping) throw new Refusal(503);
    const handler = dispatcher.handler("$connect");
    if (handler) {
      const event = connectEvent(request, origin, settings);
      const answerLate = (late: Outcome) => {
        if (late.kind === "answered" && letsIn(late.value)) this.#abandon(origin);
      };
      const outcome = await new Promise<RouteOutcome>((settle) =>
        dispatcher.invoke(handler, event, settle, answerLate),
      );
      try {
        const protocol = admit(outcome);
        if (protocol !== undefined) this.#chosen.set(request, protocol);
      } catch (refusal) {
        if (letsIn(believed(outcome))) this.#abandon(origin);
        throw refusal;
      }
    }
    this.#open(request, socket, head, origin);
  }

  #open(request: IncomingMessage, transport: Socket, head: Buffer, origin: Origin): void {
    const { settings, registry, dispatcher } = this.#parts;
    let opened = false;
    this.#server.handleUpgrade(request, transport, head, (socket) => {
      opened = true;
      transport.removeListener("error", ignore);
      const connection = new LiveConnection(socket as ClientSocket, transport, origin, settings, dispatcher);
      registry.add(connection);
      if (this.#drained) connection.close(ENDINGS.goingAway);
    });
    // The client has left meanwhile.
    if (!opened) this.#abandon(origin);
  }

  /** Nothing was opened, but the application believes its client connected: it must hear of the end. */
  #abandon(origin: Origin): void {
    const { settings, dispatcher } = this.#parts;
    const { code, reason } = ENDINGS.vanished;
    dispatcher.disconnect(disconnectEvent(code, reason, newId(), origin, settings));
  }
}

/** The subprotocol that a `$connect` chose in letting its client in; throws the Refusal if it did not. */
function admit(outcome: RouteOutcome): string | undefined {
  const status = statusOf(outcome);
  // A 1xx would leave the client waiting for the answer proper, or make it believe in a 101.
  if (status < 200) throw new Refusal(502, true);
  if (!isSuccess(status) || outcome.kind !== "answered") throw new Refusal(status, true);
  const protocol = chosenProtocol(outcome.result);
  if (protocol !== undefined && !TOKEN.test(protocol)) throw new Refusal(502, true);
  return protocol;
}

/** What a `$connect` has answered, if it is known, well-formed or not. */
function believed(outcome: RouteOutcome): unknown {
  if (outcome.kind === "answered") return outcome.result;
  return outcome.kind === "failed" ? outcome.answer : undefined;
}

/** `/{basePath}` and nothing below it, whatever the query. */
export function isServicePath(url: string, basePath: string): boolean {
  const path = url.split("?", 1)[0];
  return path === `/${basePath}` || path === `/${basePath}/`;
}

function areProtocols(header: string | undefined): boolean {
  if (header === undefined) return true;
  const names = header.split(",").map((name) => name.trim());
  return names.every((name) => TOKEN.test(name)) && new Set(names).size === names.length;
}

function chosenProtocol({ headers, multiValueHeaders }: WebSocketResult): string | undefined {
  const isIt = ([name]: [string, unknown]) => name.toLowerCase() === "sec-websocket-protocol";
  const single = Object.entries(headers ?? {}).find(isIt)?.[1];
  // Whatever stands there: an answer is checked, not trusted. Of what is no scalar nothing remains, which is no token.
  const several = [Object.entries(multiValueHeaders ?? {}).find(isIt)?.[1]].flat().at(-1);
  const chosen = single ?? several ?? undefined;
  if (chosen === undefined) return undefined;
  return typeof chosen === "object" ? "" : String(chosen);
}

function refuse(socket: Socket, status: number, connectionId: string, requestId: string): void {
  const body = errorText(REFUSALS.get(status) ?? STATUS_CODES[status] ?? "Refused", connectionId, requestId);
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
