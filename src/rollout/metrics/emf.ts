import { type EmfDirective, emfLine, writeEmf } from "../../internal/emf.ts";
import { anyFunction } from "../../internal/options.ts";
import { checkOptions } from "../errors.ts";
import type { SideRecorder } from "../flags/side-events.ts";
import { NAMESPACE } from "./cloudwatch-metrics.ts";

/** Options of `emfSides`. */
export interface EmfSidesOptions {
  /** CloudWatch namespace of 1 to 255 characters. Default `LiftRollout`. */
  readonly namespace?: string;
  /** Writes a line. Default: standard output. */
  readonly write?: (line: string) => void;
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const DIMENSIONS = [["Stage", "Side"]];
const CONNECT_UNITS = { ConnectFailures: "Count" };
const EVENT_UNITS = { Errors: "Count", Latency: "Milliseconds", LatencySquared: "None" };

/**
 * Writes one line per event in CloudWatch's embedded metric format, with the dimensions stage and side, for
 * `cloudWatchSource`. `Errors` and `ConnectFailures` are also written at 0: their sample counts are the events.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * export const handler = split(oldHandler, newHandler, flag, { recorder: emfSides() });
 */
export function emfSides(options: EmfSidesOptions = {}): SideRecorder {
  checkOptions(options, { namespace: NAMESPACE.check, write: anyFunction, now: anyFunction });
  const { namespace = NAMESPACE.default, write = writeEmf, now = Date.now } = options;
  const connects: EmfDirective[] = [{ namespace, dimensions: DIMENSIONS, units: CONNECT_UNITS }];
  const events: EmfDirective[] = [{ namespace, dimensions: DIMENSIONS, units: EVENT_UNITS }];
  return {
    record({ side, event, stage, failed, durationMs }) {
      const failures = failed ? 1 : 0;
      const labels = { Stage: stage, Side: side };
      write(
        event === "CONNECT"
          ? emfLine(now(), connects, { ...labels, ConnectFailures: failures })
          : emfLine(now(), events, {
              ...labels,
              Errors: failures,
              Latency: durationMs,
              LatencySquared: durationMs ** 2,
            }),
      );
    },
  };
}
