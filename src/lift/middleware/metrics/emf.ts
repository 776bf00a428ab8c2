import { type EmfDirective, emfLine, writeEmf } from "../../../internal/emf.ts";
import { checkOptions, isFunction } from "../../check-options.ts";
import { LiftError } from "../../errors.ts";
import type { EventMetrics, MetricsCollector } from "./metrics.ts";

export interface EmfOptions {
  /** CloudWatch's namespace, 1 to 255 characters. Default `LiftWebSocket`. */
  readonly namespace?: string;
  /**
   * Default: standard output, which CloudWatch Logs reads in Lambda; not the console, whose lines Lambda wraps where
   * the function's log format is JSON.
   */
  readonly write?: (formatLine: string) => void;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const OPTIONS = {
  namespace: (value: unknown) => typeof value === "string" && /^[\w.#:/-]{1,255}$/.test(value),
  write: isFunction,
  now: isFunction,
};

type Unit = "Count" | "Milliseconds" | "Bytes";
type Values = { readonly [name: string]: readonly [value: number, unit: Unit] };

/**
 * Writes a line per event in CloudWatch's embedded metric format: CloudWatch makes metrics of it, no call is made
 * and nothing is held back, so there is nothing to flush. Each is there for the stage as a whole and by event,
 * route and status (`Disconnects` by close code), and where labels were asked for by these too.
 * @throws {LiftError} INVALID_OPTION; `record` throws it for a label with the name of a metric or a dimension
 */
export function emfCollector(options: EmfOptions = {}): MetricsCollector {
  checkOptions(options, OPTIONS);
  const { namespace = "LiftWebSocket", write = writeEmf, now = Date.now } = options;
  return { record: (metrics) => write(line(metrics, namespace, now())) };
}

function line(metrics: EventMetrics, namespace: string, timestamp: number): string {
  const { stage, event, route, namespace: channels, status, closeCode, labels } = metrics;
  const sets = [["Stage"], ["Stage", "Event", "Route", "Status"]];
  const names = Object.keys(labels);
  if (names.length > 0) sets.push(["Stage", "Event", "Route", "Status", ...names]);
  const values = { ...eventValues(metrics), ...sendValues(metrics) };
  const disconnects: Values = closeCode === undefined ? {} : { Disconnects: [1, "Count"] };
  const directives: EmfDirective[] = [{ namespace, dimensions: sets, units: units(values) }];
  if (closeCode !== undefined) {
    const dimensions = [["Stage"], ["Stage", "CloseCode"]];
    directives.push({ namespace, dimensions, units: units(disconnects) });
  }
  const own = {
    Stage: stage,
    Event: event,
    Route: route,
    Status: status,
    // A property to search by, not a dimension, which would be paid for.
    ...(channels === undefined ? {} : { ChannelNamespace: channels }),
    ...(closeCode === undefined ? {} : { CloseCode: closeCode }),
    ...numbers(values),
    ...numbers(disconnects),
  };
  assertLabelsFree(names, own);
  return emfLine(timestamp, directives, { ...own, ...labels });
}

/** @throws {LiftError} INVALID_OPTION */
function assertLabelsFree(labels: readonly string[], own: object): void {
  const taken = labels.find((name) => name === "_aws" || Object.hasOwn(own, name));
  if (taken === undefined) return;
  throw new LiftError("INVALID_OPTION", {
    message: `The label ${taken} would overwrite the collector's own`,
  });
}

function units(values: Values): { [name: string]: Unit } {
  return Object.fromEntries(Object.entries(values).map(([name, [, unit]]) => [name, unit]));
}

function numbers(values: Values): { [name: string]: number } {
  return Object.fromEntries(Object.entries(values).map(([name, [value]]) => [name, value]));
}

/** `Refused` and `Failed` are there at 0 too, so that their average is a rate. */
function eventValues({ event, status, durationMs, messageBytes }: EventMetrics): Values {
  return {
    Events: [1, "Count"],
    Refused: [status === "4xx" ? 1 : 0, "Count"],
    Failed: [status === "5xx" ? 1 : 0, "Count"],
    Duration: [durationMs, "Milliseconds"],
    ...(event === "CONNECT" && status === "2xx" ? { Connects: [1, "Count"] as const } : {}),
    ...(messageBytes === undefined ? {} : { MessageBytes: [messageBytes, "Bytes"] as const }),
  };
}

function sendValues({ sent, gone, failed, sentBytes }: EventMetrics): Values {
  if (sent + gone + failed === 0) return {};
  return {
    Sends: [sent, "Count"],
    Gone: [gone, "Count"],
    FailedSends: [failed, "Count"],
    SentBytes: [sentBytes, "Bytes"],
  };
}
