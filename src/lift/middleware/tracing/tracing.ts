import {
  type Attributes,
  context,
  isSpanContextValid,
  type Context as OtelContext,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import { isDisconnectEvent, isMessageEvent } from "../../../apigw/index.ts";
import { anyFunction, boolean, type OptionChecks, withMethods } from "../../../internal/options.ts";
import type { Middleware } from "../../compose.ts";
import type { AnyContext } from "../../context.ts";
import { checkOptions } from "../../errors.ts";
import { fromW3c, fromXRay, type TraceHeaders, toHeaders } from "./trace-context.ts";
import { errorType, type StartSpan, TracedConnections, TracedStore } from "./traced-calls.ts";

/** Options of `webSocketTracing`. */
export interface WebSocketTracingOptions {
  /** Creates the tracer. Default: the provider registered with `@opentelemetry/api`. */
  readonly tracerProvider?: TracerProvider;
  /**
   * Whether a client's `traceparent` or `X-Amzn-Trace-Id` on `$connect` becomes the parent when Lambda provides none.
   * Clients can then decide what is sampled. Default true.
   */
  readonly acceptClientContext?: boolean;
  /** Awaited after every event, before Lambda may freeze the function. Pass your provider's `forceFlush`. Default: none. */
  readonly flush?: () => Promise<void>;
}

const OPTIONS: OptionChecks<WebSocketTracingOptions> = {
  tracerProvider: withMethods("getTracer"),
  acceptClientContext: boolean,
  flush: anyFunction,
};

const spans = new WeakMap<AnyContext, Span>();

/**
 * Records a span per event, around all middleware, with a child span per call of the store and of the @connections API. As
 * an observer it sees every outcome, whatever the order of `use`. It does not record data from clients (URL, headers,
 * token, message) or the messages of errors.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * app.use(webSocketTracing({ flush: () => provider.forceFlush() }));
 */
export function webSocketTracing(options: WebSocketTracingOptions = {}): Middleware {
  checkOptions(options, OPTIONS);
  const { tracerProvider = trace, acceptClientContext = true, flush } = options;
  const tracer = tracerProvider.getTracer("lift-ws");
  const observe: Middleware = async (ctx, next) => {
    const parent = parentContext(ctx, acceptClientContext);
    const { name, kind, attributes } = describeEvent(ctx);
    const span = tracer.startSpan(name, { kind, attributes }, parent);
    const own = trace.setSpan(parent, span);
    spans.set(ctx, span);
    instrument(ctx, tracer, own);
    try {
      await context.with(own, next);
      nameAction(ctx, span);
      recordOutcome(ctx, span);
    } finally {
      span.end();
    }
    await flush?.();
  };
  return Object.assign(observe, { phase: "observer" } satisfies Pick<Middleware, "phase">);
}

/**
 * Returns the headers of the current span, for requests to another service whose spans should join this trace.
 * @example
 * await fetch(url, { headers: { ...traceHeaders(ctx) } });
 */
export function traceHeaders(ctx: AnyContext): TraceHeaders {
  return toHeaders((trace.getActiveSpan() ?? spans.get(ctx))?.spanContext());
}

/** Returns the active span's context, else the parent that Lambda or the client provides. */
function parentContext(ctx: AnyContext, acceptClient: boolean): OtelContext {
  const active = context.active();
  const current = trace.getSpanContext(active);
  if (current !== undefined && isSpanContextValid(current)) return active;
  const provided = fromXRay(process.env._X_AMZN_TRACE_ID) ?? (acceptClient ? clientContext(ctx) : undefined);
  return provided === undefined ? active : trace.setSpanContext(active, provided);
}

function clientContext(ctx: AnyContext): SpanContext | undefined {
  return (
    fromW3c(ctx.header("traceparent"), ctx.header("tracestate")) ?? fromXRay(ctx.header("X-Amzn-Trace-Id"))
  );
}

/** Runs at the end, because a chunked message turns out to be another action with its last chunk. */
function nameAction({ action, route, namespaces }: AnyContext, span: Span): void {
  if (action === route) return;
  span.updateName(`process ${action}`);
  span.setAttributes({
    "messaging.destination.name": action,
    ...(namespaces.length === 0 ? {} : { "lift.namespace": namespaces.join() }),
  });
}

function describeEvent(ctx: AnyContext): { name: string; kind: SpanKind; attributes: Attributes } {
  const { event, lambda, route } = ctx;
  const { apiId, stage, connectionId, requestId, eventType } = event.requestContext;
  const attributes: Attributes = {
    "faas.invocation_id": lambda.awsRequestId,
    "faas.trigger": eventType === "CONNECT" ? "http" : "other",
    "aws.lambda.invoked_arn": lambda.invokedFunctionArn,
    "aws.api_gateway.api_id": apiId,
    "aws.api_gateway.stage": stage,
    "aws.api_gateway.connection_id": connectionId,
    "aws.api_gateway.request_id": requestId,
    "aws.api_gateway.event_type": eventType,
    "aws.api_gateway.route": route,
  };
  if (isDisconnectEvent(event)) {
    attributes["aws.api_gateway.close_code"] = event.requestContext.disconnectStatusCode;
  }
  if (!isMessageEvent(event)) return { name: route, kind: SpanKind.SERVER, attributes };
  attributes["messaging.system"] = "aws_api_gateway";
  attributes["messaging.operation.type"] = "process";
  attributes["messaging.destination.name"] = route;
  attributes["messaging.message.id"] = event.requestContext.messageId;
  attributes["messaging.message.body.size"] = Buffer.byteLength(event.body);
  return { name: `process ${route}`, kind: SpanKind.CONSUMER, attributes };
}

function instrument(ctx: AnyContext, tracer: Tracer, own: OtelContext): void {
  // Without a registered context manager no span is ever active.
  const start: StartSpan = (name, kind, attributes) => {
    const active = context.active();
    return tracer.startSpan(name, { kind, attributes }, trace.getSpan(active) === undefined ? own : active);
  };
  ctx.instrument({
    connections: (connections) => new TracedConnections(connections, start),
    store: (store) => new TracedStore(store, start),
  });
}

function recordOutcome(ctx: AnyContext, span: Span): void {
  const { statusCode, code } = ctx.outcome;
  span.setAttribute("http.response.status_code", statusCode);
  if (statusCode >= 400) span.setAttribute("error.type", errorType(code ?? String(statusCode)));
  if (statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
}
