import { Counter, Histogram, Registry } from "prom-client";
import { checkOptions } from "../../check-options.ts";
import { LiftError } from "../../errors.ts";
import type { EventMetrics, MetricsCollector } from "./metrics.ts";

export interface PrometheusOptions {
  /** Default: one of its own. Two collectors in one registry need two prefixes. */
  readonly register?: Registry;
  /** Of every name. Default `lift_websocket_`. */
  readonly prefix?: string;
  /**
   * The names among `webSocketMetrics`'s labels that become labels here, each once. The collector's own (`event`, `route`,
   * `status`, `code`, `outcome`, `le`) are taken. Default: none.
   */
  readonly labels?: readonly string[];
  /** Upper bounds of the latency histogram, in seconds. Default: 12 from 1 ms to 29 s. */
  readonly durationBuckets?: readonly number[];
  /** Upper bounds of the message size histogram, in bytes. Default: 9 from 64 B to 128 KB. */
  readonly sizeBuckets?: readonly number[];
}

/** Measurements for a Prometheus server to fetch: `await collector.register.metrics()` is the page. */
export interface PrometheusCollector extends MetricsCollector {
  readonly register: Registry;
}

const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 29];
const SIZE_BUCKETS = [64, 256, 1_024, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072];

/** Those that the collector sets itself, and a histogram's. */
const OWN_LABELS = ["event", "route", "status", "code", "outcome", "le"];

const isText = (value: unknown) => typeof value === "string";
/** Prometheus keeps names that begin with `__`. */
const isLabel = (value: unknown) => isText(value) && /^(?!__)[a-z_]\w*$/i.test(value as string);
const isBuckets = (value: unknown) =>
  Array.isArray(value) && value.length > 0 && value.every((bound, at) => bound > (value[at - 1] ?? 0));

const OPTIONS = {
  register: (value: unknown) => value instanceof Registry,
  prefix: (value: unknown) => isText(value) && /^[a-z_][a-z0-9_]*$/i.test(value as string),
  labels: (value: unknown) =>
    Array.isArray(value) && value.every(isLabel) && new Set(value).size === value.length,
  durationBuckets: isBuckets,
  sizeBuckets: isBuckets,
};

/**
 * Counts in this process's memory by `prom-client`: for processes that live and are asked, not for Lambda.
 * @throws {LiftError} INVALID_OPTION
 */
export function prometheusCollector(options: PrometheusOptions = {}): PrometheusCollector {
  checkOptions(options, OPTIONS);
  const { register = new Registry(), labels = [] } = options;
  const taken = labels.find((name) => OWN_LABELS.includes(name));
  if (taken !== undefined) {
    throw new LiftError("INVALID_OPTION", {
      message: `The label ${taken} would overwrite the collector's own`,
    });
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
