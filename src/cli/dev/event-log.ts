import type { EventReport } from "../../gateway/index.ts";
import { Sampler } from "../../internal/sampler.ts";
import type { Terminal } from "../arguments.ts";
import { logEvent, logNote } from "../log.ts";

/** Writes a line for each event. Messages that the gateway refuses are sampled: a flood of them is a few lines. */
export function eventLog(terminal: Terminal, refusals = new Sampler()): (report: EventReport) => void {
  return (report) => {
    const { status } = report;
    const count = isRefusal(report) ? refusals.take(String(status)) : 1;
    if (count === undefined) return;
    logEvent(report, terminal, new Date());
    if (count >= 10) logNote(`${count} refused with ${status} in ten seconds; few lines follow`, terminal);
  };
}

/** Refused before any handler was asked. */
function isRefusal({ status, durationMs, error }: EventReport): boolean {
  return durationMs === 0 && status >= 400 && status < 500 && error === undefined;
}
