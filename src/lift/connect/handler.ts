import { isConnectEvent, isWebSocketEvent } from "../../apigw/index.ts";
import { anyFunction, type OptionChecks } from "../../internal/options.ts";
import type { WebSocketHandler } from "../app.ts";
import { accept, composePhases, inPhase, type Middleware, observeAll, setResultOf } from "../compose.ts";
import type { AnyState } from "../context.ts";
import { checkOptions, LiftError } from "../errors.ts";
import type { Handler } from "../router.ts";
import { ConnectContext } from "./context.ts";
import { runConnect } from "./event.ts";
import { EVENT_CHECKS, type EventOptions, eventSettings } from "./options.ts";

/** Options of `connectHandler`. */
export interface ConnectHandlerOptions<State extends object = AnyState> extends EventOptions {
  /** Middleware around the handler, outermost first, as for `app.use`. Default: none. */
  readonly middleware?: readonly (Middleware<State> | readonly Middleware<State>[])[];
  /** Handles the event, as the handler of the route `$connect`. Default: accepts the client. */
  readonly handler?: Handler<State>;
}

const CHECKS: OptionChecks<ConnectHandlerOptions> = {
  ...EVENT_CHECKS,
  middleware: { test: Array.isArray, expected: "an array of middleware" },
  handler: anyFunction,
};

/**
 * Returns the handler of a Lambda function for `$connect` alone. It handles the event as an app's `webSocketHandler` does,
 * but its bundle has no routes, messages, sending and ticks. It rejects other events with NOT_WEBSOCKET, and sending with
 * NOT_CONNECTED. Actions for scheduled items belong to the app whose `tick` runs.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * export const handler = connectHandler({ connectionStore, schedule, middleware: [connectAuth({ validateToken })] });
 */
export function connectHandler<State extends object = AnyState>(
  options: ConnectHandlerOptions<State> = {},
): WebSocketHandler {
  checkOptions(options, CHECKS);
  const settings = eventSettings(options);
  const middleware = options.middleware?.flat() ?? [];
  const handler = (options.handler ?? accept) as unknown as Handler;
  const observers = inPhase(middleware, "observer");
  const step = composePhases(middleware, setResultOf(handler));
  return async (event, lambda) => {
    if (!isWebSocketEvent(event) || !isConnectEvent(event)) {
      throw new LiftError("NOT_WEBSOCKET", { message: "`connectHandler` handles $connect events only" });
    }
    const ctx = new ConnectContext(event, lambda, settings, "$connect");
    return observeAll(ctx, observers, () => runConnect(ctx, step));
  };
}
