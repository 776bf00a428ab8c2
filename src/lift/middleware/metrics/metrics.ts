import {
  type EventType,
  isDisconnectEvent,
  isMessageEvent,
  type WebSocketEvent,
} from "../../../apigw/index.ts";
import { checkOptions, hasMethods, isFunction } from "../../check-options.ts";
import type { Middleware } from "../../compose.ts";
import type { AnyContext } from "../../context.ts";
import { LiftError } from "../../errors.ts";
import { countSends, type SendCounts } from "./count-sends.ts";

/** What is measured of one event. Every text in it comes from a small set, but for those in `labels`. */
export interface EventMetrics extends SendCounts {
  readonly event: EventType;
  /** The registered key, or Streamer's action: `$default` where a client makes one up. */
  readonly route: string;
  /** Set for Streamer's actions: the namespace, or several with commas between. */
  readonly namespace?: string;
  /** `2xx` … `5xx`: of the refusal or the error frame too, so an event that was refused with 401 is a `4xx`. */
  readonly status: string;
  readonly stage: string;
  readonly durationMs: number;
  /** Of a message. */
  readonly messageBytes?: number;
  /** Of a `$disconnect`: `1000` to `1015`, `3xxx`, `4xxx` or `other`. */
  readonly closeCode?: string;
  /** Those that were asked for. */
  readonly labels: { readonly [name: string]: string };
}

/** Where measurements go. */
export interface MetricsCollector {
  record(metrics: EventMetrics): void;
  /** Called after every event and awaited, before Lambda may freeze the function. */
  flush?(): void | Promise<void>;
}

export interface WebSocketMetricsOptions {
  readonly collector: MetricsCollector;
  /**
   * Adds a label (in CloudWatch a dimension) for each name. Every value is a time series that is paid for: a
   * tenant may be worth it, a user rarely. `undefined` counts as `none`. Default: no labels.
   */
  readonly labels?: { readonly [name: string]: (ctx: AnyContext) => string | undefined };
  /** ms, from any origin. Default `performance.now`. */
  readonly now?: () => number;
}

const OPTIONS = {
  collector: hasMethods("record"),
  labels: (value: unknown) =>
    typeof value === "object" && value !== null && Object.values(value).every(isFunction),
  now: isFunction,
};

/** As CloudWatch and Prometheus both take it. Fields of a measurement begin with a capital in CloudWatch. */
const LABEL_NAME = /^[a-z]\w{0,62}$/;

/** CloudWatch takes 1,024 characters. */
const MAX_LABEL_LENGTH = 250;

/**
 * Measures every event, its messages and what it sends. It sees the outcome wherever it stands in the order of
 * `use`: a refusal by what stands in front of it too.
 * @throws {LiftError} INVALID_OPTION
 */
export function webSocketMetrics(options: WebSocketMetricsOptions): Middleware {
  checkOptions(options, OPTIONS);
  const { collector, labels = {}, now = () => performance.now() } = options;
  if (collector === undefined) throw invalid("webSocketMetrics needs a collector");
  for (const name of Object.keys(labels)) {
    if (!LABEL_NAME.test(name)) throw invalid(`The label ${name} does not match ${LABEL_NAME.source}`);
  }
  const measure: Middleware = async (ctx, next) => {
    const start = now();
    const sends = countSends(ctx);
    await next();
    collector.record({
      event: ctx.event.requestContext.eventType,
      route: ctx.action,
      ...(ctx.namespaces.length === 0 ? {} : { namespace: ctx.namespaces.join() }),
      status: `${Math.floor(ctx.outcome.statusCode / 100)}xx`,
      stage: ctx.event.requestContext.stage,
      durationMs: now() - start,
      ...eventSizes(ctx.event),
      ...sends,
      labels: readLabels(ctx, labels),
    });
    await collector.flush?.();
  };
  return Object.assign(measure, { phase: "observer" as const });
}

function eventSizes(event: WebSocketEvent): Pick<EventMetrics, "messageBytes" | "closeCode"> {
  if (isMessageEvent(event)) return { messageBytes: Buffer.byteLength(event.body) };
  if (isDisconnectEvent(event))
    return { closeCode: closeCodeLabel(event.requestContext.disconnectStatusCode) };
  return {};
}

/** Clients choose from 2,000 codes: those that the protocol leaves to applications are counted together. */
function closeCodeLabel(code: number): string {
  if (code >= 1000 && code <= 1015) return String(code);
  if (code >= 3000 && code <= 4999) return `${Math.floor(code / 1000)}xxx`;
  return "other";
}

function readLabels(ctx: AnyContext, labels: NonNullable<WebSocketMetricsOptions["labels"]>) {
  return Object.fromEntries(
    Object.entries(labels).map(([name, read]) => [name, (read(ctx) || "none").slice(0, MAX_LABEL_LENGTH)]),
  );
}

function invalid(message: string): LiftError {
  return new LiftError("INVALID_OPTION", { message });
}
