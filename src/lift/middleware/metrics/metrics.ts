import {
  type EventType,
  isDisconnectEvent,
  isMessageEvent,
  type WebSocketEvent,
} from "../../../apigw/index.ts";
import { anyFunction, type OptionChecks, withMethods } from "../../../internal/options.ts";
import type { Middleware } from "../../compose.ts";
import type { AnyContext } from "../../context.ts";
import { checkOptions, invalidOption } from "../../errors.ts";
import { countSends, type SendCounts } from "./count-sends.ts";

/** Measurements of one event. All texts come from small sets, except those in `labels`. */
export interface EventMetrics extends SendCounts {
  /** CONNECT, MESSAGE or DISCONNECT. */
  readonly event: EventType;
  /** The registered key, or Streamer's action. An unknown key counts as `$default`. */
  readonly route: string;
  /** Namespace of Streamer's action; several are separated by commas. */
  readonly namespace?: string;
  /** `2xx` to `5xx`, error frames included: a message that was refused with 401 is a `4xx`. */
  readonly status: string;
  /** Stage of the API. */
  readonly stage: string;
  /** Time from the event to its result, in ms. */
  readonly durationMs: number;
  /** Size of a message. */
  readonly messageBytes?: number;
  /** Close code of a `$disconnect`: `1000` to `1015`, `3xxx`, `4xxx` or `other`. */
  readonly closeCode?: string;
  /** The values of the option `labels`. */
  readonly labels: { readonly [name: string]: string };
}

/** Receives measurements. `emfCollector` and `prometheusCollector` return one. */
export interface MetricsCollector {
  /** Called once per event. */
  record(metrics: EventMetrics): void;
  /** Called after every event and awaited, before Lambda may freeze the function. */
  flush?(): void | Promise<void>;
}

/** Options of `webSocketMetrics`. */
export interface WebSocketMetricsOptions {
  /** Receives the measurements. Required. */
  readonly collector: MetricsCollector;
  /**
   * Adds a label (a dimension in CloudWatch) per name. Each distinct value costs a time series: a tenant may be worth it, a
   * user rarely is. `undefined` counts as `none`. Default: no labels.
   */
  readonly labels?: { readonly [name: string]: (ctx: AnyContext) => string | undefined };
  /** Returns a time in ms, from any origin. Default `performance.now`. */
  readonly now?: () => number;
}

const OPTIONS: OptionChecks<WebSocketMetricsOptions> = {
  collector: withMethods("record"),
  labels: {
    test: (value) =>
      typeof value === "object" && value !== null && Object.values(value).every(anyFunction.test),
    expected: "an object of functions",
  },
  now: anyFunction,
};

/** Accepted by CloudWatch and Prometheus. EMF's own fields begin with a capital letter, so they cannot collide. */
const LABEL_NAME = /^[a-z]\w{0,62}$/;

/** CloudWatch accepts 1,024 characters. */
const MAX_LABEL_LENGTH = 250;

/**
 * Measures every event, its message and its sends. As an observer it sees every outcome, whatever the order of `use`.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * app.use(webSocketMetrics({ collector: emfCollector() }));
 */
export function webSocketMetrics(options: WebSocketMetricsOptions): Middleware {
  checkOptions(options, OPTIONS, { required: ["collector"] });
  const { collector, labels = {}, now = () => performance.now() } = options;
  for (const name of Object.keys(labels)) {
    if (!LABEL_NAME.test(name)) {
      throw invalidOption(`Invalid label \`${name}\`; it must match ${LABEL_NAME.source}`);
    }
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
  return Object.assign(measure, { phase: "observer" } satisfies Pick<Middleware, "phase">);
}

function eventSizes(event: WebSocketEvent): Pick<EventMetrics, "messageBytes" | "closeCode"> {
  if (isMessageEvent(event)) return { messageBytes: Buffer.byteLength(event.body) };
  if (isDisconnectEvent(event))
    return { closeCode: closeCodeLabel(event.requestContext.disconnectStatusCode) };
  return {};
}

/** Clients can choose among 2,000 application codes, so these are counted together. */
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
