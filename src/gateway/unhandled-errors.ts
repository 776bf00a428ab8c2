import { inspect } from "node:util";
import { logText } from "../internal/redact.ts";

/** Emits a process warning for an error that nothing handles, so that it does not end the process. */
export function warnUnhandled(error: unknown): void {
  // Node drops the code when the warning is an Error, so pass text. Pass the stack only, because fields may be secret.
  const text = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
  process.emitWarning(logText(text), { code: "LIFT_WS_GATEWAY" });
}

/** Wraps a listener so that its errors become process warnings and do not affect the event. */
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
