import { inspect } from "node:util";
import { logText } from "../internal/redact.ts";

/** Warns of an error that nothing handles, so that it ends no process. Clients and handlers should never cause one. */
export function warnUnhandled(error: unknown): void {
  // As text: a code given beside an Error is dropped. The stack alone, since an error's own fields may be secret.
  const text = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
  process.emitWarning(logText(text), { code: "LIFT_WS_GATEWAY" });
}

/** `listener` in a form that neither throws nor rejects: it is told of an event, and has no say in it. */
export function guardListener<Report>(listener: (report: Report) => unknown): (report: Report) => void {
  return (report) => {
    try {
      const returned = listener(report);
      if (returned instanceof Promise) returned.catch(warnUnhandled);
    } catch (error) {
      warnUnhandled(error);
    }
  };
}
