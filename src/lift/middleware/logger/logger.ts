import { isConnectEvent, isDisconnectEvent } from "../../../apigw/index.ts";
import { anyFunction, type OptionChecks } from "../../../internal/options.ts";
import type { Middleware } from "../../compose.ts";
import type { AnyContext } from "../../context.ts";
import { checkOptions } from "../../errors.ts";
import type { LogFields } from "../../logger.ts";

/** Options of `webSocketLogger`. */
export interface WebSocketLoggerOptions {
  /** Returns further fields for the line. Called after the event. Default: none. */
  readonly fields?: (ctx: AnyContext) => LogFields;
  /** Returns a time in ms, from any origin. Default `performance.now`. */
  readonly now?: () => number;
}

const OPTIONS: OptionChecks<WebSocketLoggerOptions> = { fields: anyFunction, now: anyFunction };

/**
 * Logs one line per event with the app's logger: event type, status, duration, request id, connection id and route. The
 * level is `info` for statuses below 400, `warn` below 500, else `error`. As an observer it sees every outcome, whatever
 * the order of `use`.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * app.use(webSocketLogger({ fields: (ctx) => ({ user: ctx.userId }) }));
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
  return Object.assign(log, { phase: "observer" } satisfies Pick<Middleware, "phase">);
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
