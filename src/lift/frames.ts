import type { AnyContext } from "./context.ts";
import type { LiftError } from "./errors.ts";

/** What a client reads of an error. */
function clientView(error: LiftError): { [name: string]: unknown } {
  const { code, message, retry, details } = error;
  return { code, message, retry, ...(details === undefined ? {} : { details }) };
}

/** The frame that tells the sender what became of its message: it carries the id of the message it answers. */
export function errorFrame(ctx: AnyContext, error: LiftError): string {
  const frame = (view: object) => JSON.stringify({ type: "error", request_id: messageId(ctx), error: view });
  return orWithoutDetails(error, frame);
}

/** The body of a refusal. No client sees it; logs and tests do. */
export function errorBody(error: LiftError): string {
  return orWithoutDetails(error, (view) => JSON.stringify({ error: view }));
}

/** An application's details may be circular; the client still gets its answer. */
function orWithoutDetails(error: LiftError, write: (view: object) => string): string {
  const view = clientView(error);
  try {
    return write(view);
  } catch {
    return write({ ...view, details: undefined });
  }
}

function messageId(ctx: AnyContext): string {
  try {
    const id = ctx.body("id");
    return typeof id === "string" ? id : ctx.requestId;
  } catch {
    return ctx.requestId;
  }
}
