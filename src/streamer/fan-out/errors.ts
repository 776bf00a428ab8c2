import { clientError, LiftError, type LogFields, type Logger } from "../../lift/index.ts";
import { type ErrorBody, ProtocolError } from "../../protocol/index.ts";

/** Of an error that is one of several in an answer, so that all of them fit into it. */
const MAX_MESSAGE_LENGTH = 200;

/** Waits for a store. @throws {LiftError} STORE_FAILED */
export async function fromStore<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    throw new LiftError("STORE_FAILED", { message: "The store did not answer", cause });
  }
}

/** All that a store lists. @throws {LiftError} STORE_FAILED */
export function allFromStore<T>(source: AsyncIterable<T>): Promise<T[]> {
  const collect = async () => {
    const all: T[] = [];
    for await (const item of source) all.push(item);
    return all;
  };
  return fromStore(collect());
}

/** A message that is none, as the error that its sender reads. */
export function asLiftError(thrown: unknown): unknown {
  if (!(thrown instanceof ProtocolError)) return thrown;
  const { code, message, issue } = thrown;
  return new LiftError(code, { message, ...(issue && { details: issue }) });
}

/** What a client reads where an error is one of several. What it may not know goes to the log alone. */
export function errorBody(thrown: unknown, logger: Logger): ErrorBody {
  const error = clientError(thrown);
  if (error.status >= 500) log(logger, "error", "A channel's request failed", { error: thrown });
  return { code: error.code, message: error.message.slice(0, MAX_MESSAGE_LENGTH), retry: error.retry };
}

/** A logger that throws changes nothing for the event. */
export function log(logger: Logger, level: "warn" | "error", message: string, fields: LogFields): void {
  try {
    logger[level](message, fields);
  } catch {}
}
