import { Retry } from "../../aws/index.ts";
import { elapsed } from "../../internal/elapsed.ts";
import { integer, isRecord, record } from "../../internal/options.ts";
import { checkOptions, type RolloutError } from "../errors.ts";
import type { SideRecorder } from "../flags/side-events.ts";
import { COUNTS, NO_COUNTS, type ObservedWindow, SIDES, type SideCounts } from "../stages/windows.ts";
import { addEvent } from "./memory.ts";
import { askSource, invalidMetrics, type MetricSource, toWindow } from "./source.ts";

/** Longest reason of a refusal that an error repeats, in characters. */
const MAX_DETAIL = 200;

/** The name of each counter. */
const COUNTERS: { readonly [Name in keyof SideCounts]: string } = {
  events: "lift_rollout_events_total",
  errors: "lift_rollout_errors_total",
  connects: "lift_rollout_connects_total",
  connectFailures: "lift_rollout_connect_failures_total",
  latencies: "lift_rollout_latencies_total",
  latencySum: "lift_rollout_latency_milliseconds_total",
  latencySquares: "lift_rollout_latency_squared_milliseconds_total",
};

/** Counts both sides for a Prometheus server. */
export interface PrometheusSides extends SideRecorder {
  /** Returns the counters in Prometheus's text format, to be served behind those of other collectors. */
  page(): string;
}

/**
 * Counts both sides in memory, for processes that a Prometheus server scrapes and `prometheusSource` asks.
 * @example
 * const sides = prometheusSides();
 * const handler = split(oldHandler, newHandler, flag, { recorder: sides });
 * export const page = () => sides.page(); // serve it as text/plain
 */
export function prometheusSides(): PrometheusSides {
  const sides = { old: { ...NO_COUNTS }, new: { ...NO_COUNTS } };
  return {
    record: (event) => addEvent(sides[event.side], event),
    // Counters that do not exist at 0 lose their first events.
    page: () =>
      COUNTS.map((count) => {
        const name = COUNTERS[count];
        const values = SIDES.map((side) => `${name}{side="${side}"} ${sides[side][count]}\n`);
        return `# TYPE ${name} counter\n${values.join("")}`;
      }).join(""),
  };
}

/** Options of `prometheusSource`. */
export interface PrometheusSourceOptions {
  /** URL of the server, such as `http://prometheus:9090`. */
  readonly url: string;
  /** Labels that the counters must have, such as `{ job: "chat" }`. Default: none. */
  readonly labels?: { readonly [name: string]: string };
  /** Headers of each request, such as `authorization`. Default: none. */
  readonly headers?: { readonly [name: string]: string };
  /** Time limit of a read in ms, retries included. Default 20,000; minimum 1. */
  readonly timeoutMs?: number;
}

const OPTIONS = {
  url: {
    test: isServerUrl,
    expected: "an http:// or https:// URL without credentials (use `headers`), `?` and `#`",
  },
  labels: record,
  headers: record,
  timeoutMs: integer(1),
};

/** Errors name the URL, so it must not have a secret. */
function isServerUrl(value: unknown): boolean {
  if (typeof value !== "string" || !/^https?:/.test(value) || /[?#]/.test(value)) return false;
  const url = URL.parse(value);
  return url !== null && url.username === "" && url.password === "";
}

/**
 * Reads the counters of `prometheusSides` from a Prometheus server. The plan's windows must be several scrape intervals long.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * const source = prometheusSource({ url: "http://prometheus:9090", labels: { job: "chat" } });
 */
export function prometheusSource(options: PrometheusSourceOptions): MetricSource {
  checkOptions(options, OPTIONS, ["url"]);
  const { url, labels = {}, headers = {}, timeoutMs = 20_000 } = options;
  const selector = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const endpoint = `${url.replace(/\/$/, "")}/api/v1/query`;
  return {
    async read(from, to) {
      const body = new URLSearchParams({
        query: queryOf(selector.length === 0 ? "" : `{${selector.join()}}`, to - from),
        time: String(to / 1_000),
      });
      const retry = new Retry({ deadline: elapsed() + timeoutMs });
      const answer = await askSource("Prometheus", () =>
        retry.run((signal) => ask(endpoint, { method: "POST", body, headers, signal })),
      );
      return windowOf(from, to, answer);
    },
  };
}

/** One query for all counts, so that they have the same time. */
function queryOf(selector: string, windowMs: number): string {
  return COUNTS.map(
    (count) =>
      `label_replace(sum by (side) (increase(${COUNTERS[count]}${selector}[${windowMs}ms])), "count", "${count}", "", "")`,
  ).join(" or ");
}

async function ask(endpoint: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(endpoint, { ...init, redirect: "error" });
  const text = await response.text();
  if (!response.ok) {
    const error = new Error(`status ${response.status}${detailOf(text)}`);
    throw Object.assign(error, { $metadata: { httpStatusCode: response.status } });
  }
  try {
    return JSON.parse(text);
  } catch {
    throw nonsense("text that is not JSON");
  }
}

/** Returns the reason that Prometheus gives for a refusal, such as a label that its query language does not allow. */
function detailOf(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === "string" ? `: ${error.slice(0, MAX_DETAIL)}` : "";
  } catch {
    return "";
  }
}

function windowOf(from: number, to: number, answer: unknown): ObservedWindow {
  const { status, data } = isRecord(answer) ? answer : {};
  const { resultType, result } = isRecord(data) ? data : {};
  if (status !== "success" || resultType !== "vector" || !Array.isArray(result)) {
    throw nonsense("another result than a vector");
  }
  const sides = { old: { ...NO_COUNTS }, new: { ...NO_COUNTS } };
  for (const sample of result) {
    const { metric, value } = isRecord(sample) ? sample : {};
    const { side, count } = isRecord(metric) ? metric : {};
    if (!isOneOf(sides, side) || !isOneOf(NO_COUNTS, count) || !Array.isArray(value)) {
      throw nonsense("an unknown sample");
    }
    if (Math.abs(Number(value[0]) * 1_000 - to) > 1) {
      throw invalidMetrics("Prometheus answered with data of another time than the window's");
    }
    sides[side][count] = Number(value[1]);
  }
  const areLatenciesUsable = !hasLatencyFault(sides.old) && !hasLatencyFault(sides.new);
  const correct = (counts: SideCounts) => withoutRounding(counts, areLatenciesUsable);
  return toWindow(from, to, { old: correct(sides.old), new: correct(sides.new) });
}

function isOneOf<Name extends string>(
  names: { readonly [name in Name]: unknown },
  value: unknown,
): value is Name {
  return typeof value === "string" && Object.hasOwn(names, value);
}

/** `increase` extrapolates each counter by itself, so the counts of the same events differ a little. */
function withoutRounding(counts: SideCounts, areLatenciesUsable: boolean): SideCounts {
  return {
    ...counts,
    ...(areLatenciesUsable ? {} : { latencies: 0, latencySum: 0, latencySquares: 0 }),
    errors: atMost(counts.events, counts.errors),
    connectFailures: atMost(counts.connects, counts.connectFailures),
  };
}

/** A sum of squares that is a little too small gives no variance, so any increase of the mean would seem certain. */
function hasLatencyFault({ latencies, latencySum, latencySquares }: SideCounts): boolean {
  const least = latencies === 0 ? 0 : latencySum ** 2 / latencies;
  return latencySquares < least * (1 - 1e-9) && latencySquares > least * 0.8;
}

function atMost(limit: number, value: number): number {
  return value > limit && value < limit * 1.2 ? limit : value;
}

function nonsense(fault: string): RolloutError {
  return invalidMetrics(`Prometheus answered with ${fault}`);
}
