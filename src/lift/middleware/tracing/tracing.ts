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
import { checkOptions, hasMethods, isFunction } from "../../check-options.ts";
import type { Middleware } from "../../compose.ts";
import type { AnyContext } from "../../context.ts";
import { fromW3c, fromXRay, type TraceHeaders, toHeaders } from "./trace-context.ts";
import { errorType, type StartSpan, TracedConnections, TracedStore } from "./traced-ports.ts";

export interface WebSocketTracingOptions {
  /** Default: the one that is registered with `@opentelemetry/api`. */
  readonly tracerProvider?: TracerProvider;
  /**
   * Whether a client's `traceparent` or `X-Amzn-Trace-Id` on `$connect` is taken as the parent, where Lambda names
   * none. It lets clients say what is sampled. Default true.
   */
  readonly acceptClientContext?: boolean;
  /** Called after every event and awaited, before Lambda may freeze the function: your provider's `forceFlush`. */
  readonly flush?: () => Promise<void>;
}

const OPTIONS = {
  tracerProvider: hasMethods("getTracer"),
  acceptClientContext: (value: unknown) => typeof value === "boolean",
  flush: isFunction,
};

const spans = new WeakMap<AnyContext, Span>();

/**
 * A span per event, from before the first middleware to after the last, with one below it for every call of the
 * store and of @connections. It sees the outcome wherever it stands in the order of `use`. What clients send (URL,
 * headers, token, message) and what errors say is not recorded.
 * @throws {LiftError} INVALID_OPTION
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
  return Object.assign(observe, { phase: "observer" as const });
}

/** What to send along to another service, so that its spans join this event's trace. */
export function traceHeaders(ctx: AnyContext): TraceHeaders {
  return toHeaders((trace.getActiveSpan() ?? spans.get(ctx))?.spanContext());
}

/** What an instrumentation has begun already, else what Lambda or the client names. */
function parentContext(ctx: AnyContext, acceptClient: boolean): OtelContext {
  const active = context.active();
  const current = trace.getSpanContext(active);
  if (current !== undefined && isSpanContextValid(current)) return active;
  const named = fromXRay(process.env._X_AMZN_TRACE_ID) ?? (acceptClient ? clientContext(ctx) : undefined);
  return named === undefined ? active : trace.setSpanContext(active, named);
}

function clientContext(ctx: AnyContext): SpanContext | undefined {
  return (
    fromW3c(ctx.header("traceparent"), ctx.header("tracestate")) ?? fromXRay(ctx.header("X-Amzn-Trace-Id"))
  );
}

/** At the end, since a message in parts turns out to be another action when its last part has come. */
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
  // Where no context manager is registered nothing is ever active.
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
