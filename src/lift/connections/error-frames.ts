import { MAX_MESSAGE_BYTES } from "../../apigw/index.ts";
import type { AnyContext } from "../context.ts";
import type { LiftError } from "../errors.ts";

/** Longest message id that a client may choose, in characters. A longer id is ignored. */
const MAX_ID_LENGTH = 1_024;

/** Returns the fields of an error that a client receives. */
function clientView(error: LiftError): { [name: string]: unknown } {
  const { code, message, retry, details } = error;
  return { code, message, retry, ...(details === undefined ? {} : { details }) };
}

/** Returns the error frame that answers a message. It has the message's id. */
export function errorFrame(ctx: AnyContext, error: LiftError): string {
  return serializeError(error, (view) =>
    JSON.stringify({ type: "error", request_id: requestIdOf(ctx), error: view }),
  );
}

/** Returns the error frame that precedes a close. */
export function closingFrame(error: LiftError): string {
  return serializeError(error, (view) => JSON.stringify({ type: "error", error: view }));
}

/** Returns the body of a refused `$connect`. Browsers hide it; logs and tests show it. */
export function errorBody(error: LiftError): string {
  return serializeError(error, (view) => JSON.stringify({ error: view }));
}

/** An application's details may be circular and its message too long. The client still gets an error frame. */
function serializeError(error: LiftError, write: (view: object) => string): string {
  const view = clientView(error);
  return (
    ifFits(() => write(view)) ??
    ifFits(() => write({ ...view, details: undefined })) ??
    write({ ...view, details: undefined, message: "The error message is too long to be sent" })
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

/** Returns the id that a response carries: the one in the client's message, else the event's. */
export function requestIdOf(ctx: AnyContext): string {
  try {
    const id = ctx.body("id");
    return typeof id === "string" && id !== "" && id.length <= MAX_ID_LENGTH ? id : ctx.requestId;
  } catch {
    return ctx.requestId;
  }
}
