import {
  isAuthorizerEvent,
  isWebSocketEvent,
  type LambdaContext,
  type LambdaHandler,
  type WebSocketEvent,
} from "../../apigw/index.ts";
import { elapsed } from "../../internal/elapsed.ts";
import { isRecord, withMethods } from "../../internal/options.ts";
import { checkOptions, RolloutError } from "../errors.ts";
import type { Flag } from "./flag.ts";
import { type SideRecorder, sideEvent } from "./side-events.ts";
import type { Side } from "./steps.ts";

/** A flag, or a fixed side, for each route key. Other routes stay on the old side. */
export interface SplitRoutes {
  readonly [routeKey: string]: Flag | Side;
}

/** Options of `split`. */
export interface SplitOptions {
  /** Records each WebSocket event with its side, outcome and duration. Default: none. */
  readonly recorder?: SideRecorder;
}

/**
 * Returns one Lambda handler that passes each event to the old or the new handler. The old one may return a promise or call a
 * callback. An event that fails on one side is not repeated on the other. Events that are not from a WebSocket API go to
 * the old handler.
 * @param flag a flag for all routes, or an object of route keys
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * export const handler = split(oldHandler, app.webSocketHandler(), flag, { recorder: emfSides() });
 */
export function split(
  oldHandler: LambdaHandler<never>,
  newHandler: LambdaHandler<never>,
  flag: Flag | SplitRoutes,
  options: SplitOptions = {},
): (event: unknown, context: LambdaContext) => Promise<unknown> {
  if (typeof oldHandler !== "function" || typeof newHandler !== "function") {
    throw new RolloutError("INVALID_OPTION", "`oldHandler` and `newHandler` must be functions");
  }
  checkOptions(options, { recorder: withMethods("record") });
  const { recorder } = options;
  const choose = isFlag(flag) ? () => flag : chooserOf(flag);
  // Two parameters: the Node 24 runtime rejects handlers with a callback.
  return async (event, context) => {
    const side = await sideFor(event, choose);
    const call = () => callHandler(side === "new" ? newHandler : oldHandler, event, context);
    // An authorizer's event counts as a WebSocket event too.
    const isRecorded = isWebSocketEvent(event) && !isAuthorizerEvent(event);
    return recorder !== undefined && isRecorded ? measure(recorder, side, event, call) : call();
  };
}

async function measure(
  recorder: SideRecorder,
  side: Side,
  event: WebSocketEvent,
  call: () => Promise<unknown>,
): Promise<unknown> {
  const start = elapsed();
  const record = (result: unknown) => {
    try {
      recorder.record(sideEvent(side, event, elapsed() - start, result));
    } catch {
      // A measurement must not change an event's result.
    }
  };
  try {
    const result = await call();
    record(result);
    return result;
  } catch (error) {
    record({ statusCode: 500 });
    throw error;
  }
}

function isFlag(value: unknown): value is Flag {
  return typeof (value as Flag | undefined)?.side === "function";
}

function chooserOf(routes: SplitRoutes): (routeKey: string) => Flag | Side {
  const choices = new Map(Object.entries(isRecord(routes) ? routes : {}));
  for (const [routeKey, choice] of choices) {
    if (choice !== "old" && choice !== "new" && !isFlag(choice)) {
      throw new RolloutError("INVALID_OPTION", `Route \`${routeKey}\` must have a flag, "old" or "new"`);
    }
  }
  if (choices.size === 0) {
    const message = "`flag` must be a flag, as `createFlag` returns it, or an object of routes";
    throw new RolloutError("INVALID_OPTION", message);
  }
  return (routeKey) => choices.get(routeKey) ?? "old";
}

async function sideFor(event: unknown, choose: (routeKey: string) => Flag | Side): Promise<Side> {
  if (!isWebSocketEvent(event)) return "old";
  const choice = choose(event.requestContext.routeKey);
  return typeof choice === "string" ? choice : choice.side(event);
}

/** A handler with three parameters may end by its callback, by its promise, or by either. */
function callHandler(
  handler: LambdaHandler<never>,
  event: unknown,
  context: LambdaContext,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const callback = (error?: Error | string | null, result?: unknown) => {
      if (error === undefined || error === null) resolve(result);
      else reject(typeof error === "string" ? new Error(error) : error);
    };
    const returned = handler(event as never, context, callback);
    if (handler.length < 3 || isThenable(returned)) resolve(returned);
  });
}

function isThenable(value: unknown): boolean {
  return typeof (value as { readonly then?: unknown } | undefined | null)?.then === "function";
}
