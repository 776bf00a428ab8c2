import { logSafely } from "../internal/log-safely.ts";
import { findOptionFault, type OptionCheck } from "../internal/options.ts";
import { clientError, LiftError, type Logger } from "../lift/index.ts";
import { type ErrorBody, ProtocolError } from "../protocol/index.ts";

/** Characters of an error message in a response that lists several errors, so that all of them fit into one frame. */
const MAX_MESSAGE_LENGTH = 200;

/** Awaits a store call. @throws {LiftError} STORE_FAILED */
export async function awaitStore<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    throw storeFailed(cause);
  }
}

export function storeFailed(cause: unknown): LiftError {
  return new LiftError("STORE_FAILED", { message: "The store did not answer", cause });
}

/** Collects all items of a store's list. @throws {LiftError} STORE_FAILED */
export function collectFromStore<T>(source: AsyncIterable<T>): Promise<T[]> {
  const collect = async () => {
    const items: T[] = [];
    for await (const item of source) items.push(item);
    return items;
  };
  return awaitStore(collect());
}

/** Turns the protocol parser's error into the error that the client receives; other errors stay as they are. */
export function toLiftError(thrown: unknown): unknown {
  if (!(thrown instanceof ProtocolError)) return thrown;
  const { code, message, issue } = thrown;
  return new LiftError(code, { message, ...(issue && { details: issue }) });
}

/** Returns an error's client-safe form for a response that lists several. Logs errors that clients see only as a code. */
export function toErrorBody(thrown: unknown, logger: Logger): ErrorBody {
  const error = clientError(thrown);
  if (error.status >= 500) logSafely(logger, "error", "A channel's request failed", { error: thrown });
  return { code: error.code, message: error.message.slice(0, MAX_MESSAGE_LENGTH), retry: error.retry };
}

export function invalidOption(message: string): LiftError {
  return new LiftError("INVALID_OPTION", { message });
}

/** @throws {LiftError} INVALID_OPTION, as `findOptionFault` describes it */
export function assertOptions(
  options: unknown,
  checks: { readonly [name: string]: OptionCheck },
  where: { readonly prefix?: string; readonly required?: readonly string[] } = {},
): void {
  const fault = findOptionFault(options, checks, where);
  if (fault !== undefined) throw invalidOption(fault);
}
