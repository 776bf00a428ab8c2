import { type EmfDirective, emfLine, writeEmf } from "../../../internal/emf.ts";
import { anyFunction, type OptionChecks } from "../../../internal/options.ts";
import { checkOptions, invalidOption } from "../../errors.ts";
import type { EventMetrics, MetricsCollector } from "./metrics.ts";

/** Options of `emfCollector`. */
export interface EmfOptions {
  /** CloudWatch namespace of 1 to 255 characters. Default `LiftWebSocket`. */
  readonly namespace?: string;
  /**
   * Writes a line. Default: standard output. The console would not do, because Lambda wraps its lines when the function's
   * log format is JSON.
   */
  readonly write?: (formatLine: string) => void;
  /** Returns the time in ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const OPTIONS: OptionChecks<EmfOptions> = {
  namespace: {
    test: (value) => typeof value === "string" && /^[\w.#:/-]{1,255}$/.test(value),
    expected: "1 to 255 letters, digits or characters of `_.#:/-`",
  },
  write: anyFunction,
  now: anyFunction,
};

type Unit = "Count" | "Milliseconds" | "Bytes";
type Values = { readonly [name: string]: readonly [value: number, unit: Unit] };

/**
 * Writes one line per event in CloudWatch's embedded metric format. CloudWatch extracts the metrics from the log, so there
 * is no API call and nothing to flush. Each metric has the dimensions stage, and stage with event, route and status
 * (`Disconnects`: with close code), and a further set with the labels.
 * @throws {LiftError} INVALID_OPTION; `record` throws it for a label with the name of a metric or dimension
 * @example
 * app.use(webSocketMetrics({ collector: emfCollector({ namespace: "Chat" }) }));
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
    // A property for searches, not a dimension, which would cost a metric per value.
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
  throw invalidOption(`Invalid label \`${taken}\`; the collector uses this name itself`);
}

function units(values: Values): { [name: string]: Unit } {
  return Object.fromEntries(Object.entries(values).map(([name, [, unit]]) => [name, unit]));
}

function numbers(values: Values): { [name: string]: number } {
  return Object.fromEntries(Object.entries(values).map(([name, [value]]) => [name, value]));
}

/** `Refused` and `Failed` are also written at 0, so that their average is a rate. */
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
