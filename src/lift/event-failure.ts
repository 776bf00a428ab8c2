import { ConnectionsError, type WebSocketResult } from "../apigw/index.ts";
import { logSafely } from "../internal/log-safely.ts";
import { errorBody, errorFrame } from "./connections/error-frames.ts";
import { type AnyContext, contextInternals } from "./context.ts";
import { clientError, type LiftError, refusalStatus, withoutStack } from "./errors.ts";

/** Returns the result that refuses `$connect`, or reports a failed `$disconnect`. */
export function refuse(ctx: AnyContext, thrown: unknown): WebSocketResult {
  const error = recordFailure(ctx, thrown);
  return { statusCode: refusalStatus(error.status), body: errorBody(error) };
}

/** Answers a message with an error frame. */
export async function postError(ctx: AnyContext, thrown: unknown): Promise<void> {
  const frame = errorFrame(ctx, recordFailure(ctx, thrown));
  try {
    await contextInternals.connectionsOf(ctx).post(ctx.connectionId, frame, { budget: ctx.lambda });
  } catch (error) {
    logSampled(ctx, "error", "The error frame was not sent", { error });
  }
}

/** Logs an error, makes it the event's outcome, and returns the error that the client may see. */
function recordFailure(ctx: AnyContext, thrown: unknown): LiftError {
  const error = clientError(thrown);
  contextInternals.recordFailure(ctx, error);
  const { code, status } = error;
  const fields = { code, status, error: thrown };
  if (status < 500) logSampled(ctx, "warn", "The event was refused", fields);
  // A client that has disconnected, or reads slowly, can cause these.
  else if (thrown instanceof ConnectionsError) logSampled(ctx, "error", "The event failed", fields);
  else logSafely(ctx.logger, "error", "The event failed", fields);
  return error;
}

interface FailureFields {
  readonly code?: string;
  readonly status?: number;
  readonly error: unknown;
}

/** Samples lines that a client can cause as fast as it sends. They have their count, and no stack. */
function logSampled(ctx: AnyContext, level: "warn" | "error", message: string, fields: FailureFields): void {
  const count = contextInternals.settingsOf(ctx).refusals.count(`${message} ${fields.code}`);
  if (count === undefined) return;
  logSafely(ctx.logger, level, message, { ...fields, count, error: withoutStack(fields.error) });
}
