import { logSafely } from "../../internal/log-safely.ts";
import { LiftError } from "../../lift/index.ts";
import { type Json, LIMITS, type ResponseMessage } from "../../protocol/index.ts";
import type { ClientRequest } from "../call-context.ts";
import { createResponse } from "../responses.ts";
import { toJson } from "../schemas.ts";
import { outputMessage, progressMessage } from "./messages.ts";
import type { Checkpoint, RequestContext, RequestDefinition, RequestSettings } from "./options.ts";
import { OutputWriter } from "./output/writer.ts";
import { ProgressReporter } from "./progress-reporter.ts";
import { assertSize, toResult } from "./request-run.ts";

/** API Gateway waits 29 s for an answer. */
const MAX_MS = 25_000;
/** ms that are kept for the answer. */
const ANSWER_MS = 500;
/** One for all requests that have ended, because each would collect a stack that nobody reads. */
const ENDED = new LiftError("CANCELLED", { status: 409, message: "The request has ended" });

/**
 * Runs a handler within the event, and returns the response. Nothing is stored.
 * @throws {LiftError} TIMEOUT; TOO_LARGE when the response exceeds a frame; or the handler's error
 */
export async function runInPlace(
  definition: RequestDefinition,
  input: Json,
  request: ClientRequest,
  { gatherMs, limits }: RequestSettings,
  now: () => number,
): Promise<ResponseMessage> {
  const { ctx, requestId: id, identity, logger } = request;
  const remainingMs = (request.budget?.getRemainingTimeInMillis() ?? MAX_MS) - ANSWER_MS;
  const timeoutMs = Math.max(1, Math.min(definition.timeoutMs ?? MAX_MS, MAX_MS, remainingMs));
  const stop = new AbortController();
  const send = (message: object) => ctx.reply(message).catch(() => {});
  const progress = new ProgressReporter({
    schema: definition.progress,
    logger,
    send: (reported) => send(progressMessage({ id, attempt: 1 }, reported)),
    store: async () => {},
  });
  const output = new OutputWriter({
    head: { offset: 0, chunks: 0, bytes: 0 },
    gatherMs,
    maxBytes: limits.outputBytes,
    signal: stop.signal,
    now,
    logger,
    append: async () => {},
    send: async (item) => void (await send(outputMessage(id, item))),
  });
  const checkpoint: { -readonly [Name in keyof Checkpoint]: Checkpoint[Name] } = {
    value: undefined,
    save: (value) => {
      const saving = Promise.resolve().then(() => {
        checkpoint.value = toJson(value);
      });
      // A handler that does not wait for it would end the process.
      saving.catch((error: unknown) => logSafely(logger, "warn", "A checkpoint was not saved", { error }));
      return saving;
    },
  };
  const context: RequestContext = {
    id,
    identity,
    attempt: 1,
    signal: stop.signal,
    logger,
    output,
    checkpoint,
    progress: (percentage, message, details) => progress.report(percentage, message, details),
  };
  const handle = async () => {
    const result = await definition.handler(input, context);
    await output.end();
    const response = createResponse(id, await toResult(result, definition));
    assertSize(response, LIMITS.messageBytes, "response");
    return response;
  };
  try {
    return await withTimeout(handle(), timeoutMs, stop);
  } finally {
    output.cancel();
    stop.abort(ENDED);
    await progress.close();
  }
}

/** Does not wait for a handler that ignores its signal. */
async function withTimeout<T>(running: Promise<T>, ms: number, stop: AbortController): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new LiftError("TIMEOUT", {
        message: `The request took longer than ${ms} ms`,
        retry: false,
      });
      stop.abort(error);
      reject(error);
    }, ms);
  });
  try {
    return await Promise.race([running, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
