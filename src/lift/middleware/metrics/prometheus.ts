import { Counter, Histogram, Registry } from "prom-client";
import type { OptionChecks } from "../../../internal/options.ts";
import { checkOptions, invalidOption } from "../../errors.ts";
import type { EventMetrics, MetricsCollector } from "./metrics.ts";

/** Options of `prometheusCollector`. */
export interface PrometheusOptions {
  /** Registry of the metrics. Two collectors in one registry need different prefixes. Default: a new registry. */
  readonly register?: Registry;
  /** Prefix of all metric names. Default `lift_websocket_`. */
  readonly prefix?: string;
  /**
   * Names of `webSocketMetrics` labels to add, each once. The collector uses `event`, `route`, `status`, `code`, `outcome`
   * and `le` itself. Default: none.
   */
  readonly labels?: readonly string[];
  /** Upper bounds of the latency histogram, in seconds. Default: 12 bounds from 1 ms to 29 s. */
  readonly durationBuckets?: readonly number[];
  /** Upper bounds of the message size histogram, in bytes. Default: 9 bounds from 64 B to 128 KB. */
  readonly sizeBuckets?: readonly number[];
}

/** A collector for a Prometheus server. `await collector.register.metrics()` returns the page to serve. */
export interface PrometheusCollector extends MetricsCollector {
  /** Registry of the metrics. */
  readonly register: Registry;
}

const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 29];
const SIZE_BUCKETS = [64, 256, 1_024, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072];

/** Labels that the collector sets itself, and `le` of histograms. */
const OWN_LABELS = ["event", "route", "status", "code", "outcome", "le"];

const isText = (value: unknown) => typeof value === "string";
/** Prometheus reserves names that begin with `__`. */
const isLabel = (value: unknown) => isText(value) && /^(?!__)[a-z_]\w*$/i.test(value as string);
const isBuckets = (value: unknown) =>
  Array.isArray(value) && value.length > 0 && value.every((bound, at) => bound > (value[at - 1] ?? 0));

const buckets = { test: isBuckets, expected: "an array of ascending positive numbers" };

const OPTIONS: OptionChecks<PrometheusOptions> = {
  register: { test: (value) => value instanceof Registry, expected: "a Registry of prom-client" },
  prefix: {
    test: (value) => isText(value) && /^[a-z_][a-z0-9_]*$/i.test(value as string),
    expected: "letters, digits and `_`, not beginning with a digit",
  },
  labels: {
    test: (value) => Array.isArray(value) && value.every(isLabel) && new Set(value).size === value.length,
    expected: "an array of distinct label names",
  },
  durationBuckets: buckets,
  sizeBuckets: buckets,
};

/**
 * Counts in memory with `prom-client`, for long-running processes that a Prometheus server scrapes. Use `emfCollector` in
 * Lambda.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * const collector = prometheusCollector();
 * app.use(webSocketMetrics({ collector }));
 */
export function prometheusCollector(options: PrometheusOptions = {}): PrometheusCollector {
  checkOptions(options, OPTIONS);
  const { register = new Registry(), labels = [] } = options;
  const taken = labels.find((name) => OWN_LABELS.includes(name));
  if (taken !== undefined) {
    throw invalidOption(`Invalid label \`${taken}\`; the collector uses this name itself`);
  }
  const instruments = createInstruments({ ...options, register });
  const own = (metrics: EventMetrics) =>
    Object.fromEntries(labels.map((name) => [name, metrics.labels[name] ?? "none"]));
  return { register, record: (metrics) => recordEvent(instruments, metrics, own(metrics)) };
}

type PrometheusInstruments = ReturnType<typeof createInstruments>;

function createInstruments(options: PrometheusOptions & { readonly register: Registry }) {
  const { prefix = "lift_websocket_", labels = [], register } = options;
  const { durationBuckets = DURATION_BUCKETS, sizeBuckets = SIZE_BUCKETS } = options;
  const common = (name: string, help: string, ...own: string[]) => ({
    name: `${prefix}${name}`,
    help,
    labelNames: [...own, ...labels],
    registers: [register],
  });
  return {
    events: new Counter(common("events_total", "Events by outcome", "event", "route", "status")),
    durations: new Histogram({
      ...common("event_duration_seconds", "Time from event to result", "event", "route"),
      buckets: [...durationBuckets],
    }),
    sizes: new Histogram({
      ...common("message_bytes", "Size of the messages that came in", "route"),
      buckets: [...sizeBuckets],
    }),
    connects: new Counter(common("connects_total", "Connections that were accepted")),
    disconnects: new Counter(common("disconnects_total", "Connections that ended, by close code", "code")),
    sends: new Counter(common("sends_total", "Messages to connections, by outcome", "outcome")),
    sentBytes: new Counter(common("sent_bytes_total", "Bytes that were sent to connections")),
  };
}

function recordEvent(
  to: PrometheusInstruments,
  metrics: EventMetrics,
  own: { [name: string]: string },
): void {
  const { event, route, status, messageBytes, closeCode, sent, gone, failed, sentBytes } = metrics;
  to.events.inc({ event, route, status, ...own });
  to.durations.observe({ event, route, ...own }, metrics.durationMs / 1_000);
  if (messageBytes !== undefined) to.sizes.observe({ route, ...own }, messageBytes);
  if (event === "CONNECT" && status === "2xx") to.connects.inc(own);
  if (closeCode !== undefined) to.disconnects.inc({ code: closeCode, ...own });
  for (const [outcome, times] of Object.entries({ sent, gone, failed })) {
    if (times > 0) to.sends.inc({ outcome, ...own }, times);
  }
  if (sentBytes > 0) to.sentBytes.inc(own, sentBytes);
}
