import { MAX_MESSAGE_BYTES } from "../../apigw/index.ts";
import type { AnyContext } from "../context.ts";
import type { LiftError } from "../errors.ts";

/**
 * Maximum length of a message id that Lift repeats in a response, in characters. A response to a longer one has the event's
 * id instead. Streamer's protocol has a smaller limit of its own, and refuses longer ids.
 */
const MAX_ID_LENGTH = 1_024;

/** Returns the fields of an error that a client receives. */
function toClientFields(error: LiftError): { [name: string]: unknown } {
  const { code, message, retry, details } = error;
  return { code, message, retry, ...(details === undefined ? {} : { details }) };
}

/** Returns the error frame that answers a message, with the message's id. The connection may be closed after it. */
export function errorFrame(ctx: AnyContext, error: LiftError): string {
  return serializeError(error, (fields) =>
    JSON.stringify({ type: "error", request_id: requestIdOf(ctx), error: fields }),
  );
}

/** Returns the error frame before a close that answers no message, such as the end of a token. It has no id. */
export function closingFrame(error: LiftError): string {
  return serializeError(error, (fields) => JSON.stringify({ type: "error", error: fields }));
}

/**
 * Returns the body of a result with an error status: a refused `$connect`, a failed `$disconnect` or a refused ticket
 * request. Browsers hide the body of a refused `$connect`; logs and tests show it.
 */
export function errorBody(error: LiftError): string {
  return serializeError(error, (fields) => JSON.stringify({ error: fields }));
}

/** Leaves out details that are circular or too long, and replaces a message that is too long: applications set both. */
function serializeError(error: LiftError, write: (fields: object) => string): string {
  const fields = toClientFields(error);
  return (
    ifFits(() => write(fields)) ??
    ifFits(() => write({ ...fields, details: undefined })) ??
    write({ ...fields, details: undefined, message: "The error message is too long to be sent" })
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

/**
 * Returns the id for a response or an error frame: the one in the client's message, else the event's. Legacy clients of
 * Streamer call it `request_id`.
 */
export function requestIdOf(ctx: AnyContext): string {
  try {
    const id = ctx.body("id") ?? ctx.body("request_id");
    return typeof id === "string" && id !== "" && id.length <= MAX_ID_LENGTH ? id : ctx.requestId;
  } catch {
    return ctx.requestId;
  }
}
