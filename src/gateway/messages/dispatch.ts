import type { LambdaHandler, WebSocketEvent } from "../../apigw/index.ts";
import { TimeSlices } from "../../internal/time-slices.ts";
import type { GatewaySettings } from "../options.ts";
import type { CloseReason } from "../sockets/close-codes.ts";
import { byteLength, textFrameOnce } from "../sockets/frames.ts";
import { createId, createTransientId } from "../sockets/ids.ts";
import type { ConnectionRegistry } from "../sockets/registry.ts";
import type { ConnectionListener, LiveConnection } from "../sockets/socket.ts";
import type { Throttle } from "../throttle.ts";
import { createDisconnectEvent, createMessageEvent } from "./events.ts";
import { checkResult, type Invoker, type Outcome, outcomeStatus, type RouteOutcome } from "./invoke.ts";
import { compileRouteSelector, type RouteSelector } from "./route.ts";

const CONNECT = "$connect";
const DISCONNECT = "$disconnect";
const DEFAULT = "$default";

/** Passes the messages of open connections to their routes, and closed connections to `$disconnect`. */
export class Dispatcher implements ConnectionListener {
  readonly #settings: GatewaySettings;
  readonly #registry: ConnectionRegistry;
  readonly #invoker: Invoker;
  readonly #throttle: Throttle;
  readonly #select: RouteSelector;
  /** Slices the work when thousands of connections close at once, so that HTTP requests need not wait. */
  readonly #slices = new TimeSlices();

  constructor(settings: GatewaySettings, registry: ConnectionRegistry, invoker: Invoker, throttle: Throttle) {
    this.#settings = settings;
    this.#registry = registry;
    this.#invoker = invoker;
    this.#throttle = throttle;
    this.#select = compileRouteSelector(settings.routeSelectionExpression);
  }

  onMessage(connection: LiveConnection, text: string, done: () => void): void {
    const requestId = createTransientId();
    // Check the connection's own rate first, so that its refused messages do not use up the shared rate.
    if (!connection.takeMessage() || !this.#throttle.take()) {
      this.#refuse(connection, 429, "Too Many Requests", "", requestId);
      done();
      return;
    }
    const selected = this.#select(text);
    const routeKey = this.#route(selected);
    const handler = routeKey === undefined ? undefined : this.handlerFor(routeKey);
    if (routeKey === undefined || !handler) {
      this.#refuse(connection, 403, "Forbidden", selected ?? "", requestId);
      done();
      return;
    }
    const event = createMessageEvent(
      text,
      routeKey,
      requestId,
      connection.details,
      this.#settings.clock.now(),
      this.#settings,
    );
    // Not by `invoke`: one closure less for every message.
    const startedAt = this.#startTime();
    this.#invoker.run(handler, event, routeKey, (raw) => {
      const outcome = checkResult(raw);
      this.#respond(connection, routeKey, requestId, outcome);
      done();
      this.#report(event, outcome, startedAt);
    });
  }

  onClose(connection: LiveConnection, { code, reason }: CloseReason): void {
    this.#registry.delete(connection);
    void this.#slices.next().then(() => {
      this.disconnect(createDisconnectEvent(code, reason, createId(), connection.details, this.#settings));
    });
  }

  /** Resolves when `$disconnect` has started for every closed connection. */
  disconnectsStarted(): Promise<void> {
    return this.#slices.next();
  }

  /** Runs `$disconnect`. Its outcome is ignored, because the client is gone. */
  disconnect(event: WebSocketEvent): void {
    const handler = this.handlerFor(DISCONNECT);
    if (handler) this.invoke(handler, event, () => {});
  }

  /** Finds the handler of a route key. */
  handlerFor(routeKey: string): LambdaHandler | undefined {
    return this.#settings.routes.get(routeKey) ?? this.#settings.handler;
  }

  /**
   * Runs a route's handler, validates its result and reports the invocation.
   * @param settle receives the outcome
   * @param late as in `Invoker.run`
   */
  invoke(
    handler: LambdaHandler,
    event: WebSocketEvent,
    settle: (outcome: RouteOutcome) => void,
    late?: (outcome: Outcome) => void,
  ): void {
    const startedAt = this.#startTime();
    const onEnd = (raw: Outcome) => {
      const outcome = checkResult(raw);
      settle(outcome);
      this.#report(event, outcome, startedAt);
    };
    this.#invoker.run(handler, event, event.requestContext.routeKey, onEnd, late);
  }

  #startTime(): number {
    const { onEvent, clock } = this.#settings;
    return onEvent ? clock.elapsed() : 0;
  }

  #report({ requestContext }: WebSocketEvent, outcome: RouteOutcome, startedAt: number): void {
    const { onEvent, clock } = this.#settings;
    if (!onEvent) return;
    const { routeKey, connectionId, requestId } = requestContext;
    onEvent({
      routeKey,
      connectionId,
      requestId,
      status: outcomeStatus(outcome),
      durationMs: Math.round(clock.elapsed() - startedAt),
      ...(outcome.kind === "failed" && { error: outcome.error }),
      ...refusalBody(outcome),
    });
  }

  /** Selects the route of a message. Messages cannot select `$connect` and `$disconnect`. */
  #route(selected: string | undefined): string | undefined {
    const { routes, handler } = this.#settings;
    if (selected !== undefined && selected !== CONNECT && selected !== DISCONNECT) {
      if (routes.has(selected) || (handler && selected !== "")) return selected;
    }
    return routes.has(DEFAULT) || handler ? DEFAULT : undefined;
  }

  #respond(connection: LiveConnection, routeKey: string, requestId: string, outcome: RouteOutcome): void {
    const status = outcomeStatus(outcome);
    if (status >= 400 && status < 500) connection.countRefusal();
    if (outcome.kind === "failed") {
      this.#sendError(connection, "Internal server error", requestId);
    } else if (outcome.kind === "timed out") {
      this.#sendError(connection, "Endpoint request timed out", requestId);
    } else if (typeof outcome.result.body === "string" && this.#settings.routeResponses.has(routeKey)) {
      if (byteLength(outcome.result.body) <= this.#settings.limits.messageBytes) {
        this.#send(connection, outcome.result.body);
      } else {
        this.#sendError(connection, "Internal server error", requestId);
      }
    }
  }

  /** Refuses a message without calling a handler. */
  #refuse(
    connection: LiveConnection,
    status: number,
    message: string,
    routeKey: string,
    requestId: string,
  ): void {
    this.#sendError(connection, message, requestId);
    this.#settings.onEvent?.({ routeKey, connectionId: connection.id, requestId, status, durationMs: 0 });
    connection.countRefusal();
  }

  #sendError(connection: LiveConnection, message: string, requestId: string): void {
    this.#send(connection, errorText(message, connection.id, requestId));
  }

  #send(connection: LiveConnection, text: string): void {
    connection.send(textFrameOnce(text, this.#settings.limits.frameBytes));
  }
}

function refusalBody(outcome: RouteOutcome): { body?: string } {
  if (outcome.kind !== "answered" || outcome.result.statusCode < 400) return {};
  const { body } = outcome.result;
  return typeof body === "string" && body !== "" ? { body } : {};
}

/** Returns the service's error message, including the space after the first and second colon. */
export function errorText(message: string, connectionId: string, requestId: string): string {
  return `{"message": ${JSON.stringify(message)}, "connectionId":"${connectionId}", "requestId":"${requestId}"}`;
}
