import { isConnectEvent, isDisconnectEvent } from "../../../apigw/index.ts";
import { checkOptions, isFunction } from "../../check-options.ts";
import type { Middleware } from "../../compose.ts";
import type { AnyContext } from "../../context.ts";
import type { LogFields } from "../../logger.ts";

export interface WebSocketLoggerOptions {
  /** Adds fields to the line, once the event has ended. */
  readonly fields?: (ctx: AnyContext) => LogFields;
  /** ms, from any origin. Default `performance.now`. */
  readonly now?: () => number;
}

const OPTIONS = { fields: isFunction, now: isFunction };

/**
 * A line per event, through the app's logger, with request id, connection id and route: what came, how it ended
 * and in how many ms. `info` below 400, `warn` below 500, else `error`. It sees every outcome, wherever it stands.
 * @throws {LiftError} INVALID_OPTION
 */
export function webSocketLogger(options: WebSocketLoggerOptions = {}): Middleware {
  checkOptions(options, OPTIONS);
  const { fields, now = () => performance.now() } = options;
  const log: Middleware = async (ctx, next) => {
    const start = now();
    await next();
    const { statusCode, code } = ctx.outcome;
    ctx.logger[levelOf(statusCode)](ctx.event.requestContext.eventType, {
      status: statusCode,
      ...(code === undefined ? {} : { code }),
      ms: Math.round((now() - start) * 100) / 100,
      ...eventFields(ctx),
      ...fields?.(ctx),
    });
  };
  return Object.assign(log, { phase: "observer" as const });
}

function levelOf(statusCode: number): "info" | "warn" | "error" {
  if (statusCode < 400) return "info";
  return statusCode < 500 ? "warn" : "error";
}

function eventFields({ event }: AnyContext): LogFields {
  if (isConnectEvent(event)) return { sourceIp: event.requestContext.identity.sourceIp };
  if (isDisconnectEvent(event)) {
    const { disconnectStatusCode, disconnectReason } = event.requestContext;
    return { closeCode: disconnectStatusCode, reason: disconnectReason };
  }
  return { bytes: Buffer.byteLength(event.body) };
}
