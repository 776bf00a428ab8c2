import { MAX_MESSAGE_BYTES } from "../../apigw/index.ts";
import type { AnyContext } from "../context.ts";
import type { LiftError } from "../errors.ts";

/** A client's name for its message is short; whatever is longer is no such name, and neither is nothing. */
const MAX_ID_LENGTH = 1_024;

/** What a client reads of an error. */
function clientView(error: LiftError): { [name: string]: unknown } {
  const { code, message, retry, details } = error;
  return { code, message, retry, ...(details === undefined ? {} : { details }) };
}

/** The frame that tells the sender what became of its message: it carries the id of the message it answers. */
export function errorFrame(ctx: AnyContext, error: LiftError): string {
  return serializeError(error, (view) =>
    JSON.stringify({ type: "error", request_id: requestIdOf(ctx), error: view }),
  );
}

/** The frame before a close: it answers no message. */
export function closingFrame(error: LiftError): string {
  return serializeError(error, (view) => JSON.stringify({ type: "error", error: view }));
}

/** The body of a refusal. No client sees it; logs and tests do. */
export function errorBody(error: LiftError): string {
  return serializeError(error, (view) => JSON.stringify({ error: view }));
}

/** An application's details may be circular, and what it says may be too long; the client still gets its answer. */
function serializeError(error: LiftError, write: (view: object) => string): string {
  const view = clientView(error);
  return (
    ifFits(() => write(view)) ??
    ifFits(() => write({ ...view, details: undefined })) ??
    write({ ...view, details: undefined, message: "The message of this error is too long to be sent" })
  );
}

function ifFits(write: () => string): string | undefined {
  try {
    const text = write();
    return Buffer.byteLength(text) <= MAX_MESSAGE_BYTES ? text : undefined;
  } catch {
    return undefined;
  }
}

/** What an answer to a message carries: the id that its client gave it, else the event's. */
export function requestIdOf(ctx: AnyContext): string {
  try {
    const id = ctx.body("id");
    return typeof id === "string" && id !== "" && id.length <= MAX_ID_LENGTH ? id : ctx.requestId;
  } catch {
    return ctx.requestId;
  }
}
