import { createTraceState, isSpanContextValid, type SpanContext, TraceFlags } from "@opentelemetry/api";

/** Headers that pass a trace to another service. */
export interface TraceHeaders {
  /** Trace id, span id and flags in W3C's format. */
  traceparent?: string;
  /** W3C's vendor data. Absent when the trace has none. */
  tracestate?: string;
  /** Trace id, span id and flags in X-Ray's format. */
  "X-Amzn-Trace-Id"?: string;
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;
const ROOT = /(?:^|;)\s*Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)/i;
const PARENT = /(?:^|;)\s*Parent=([0-9a-f]{16})(?:;|$)/i;
const SAMPLED = /(?:^|;)\s*Sampled=1(?:;|$)/i;

/** W3C's limit in characters. */
const MAX_TRACESTATE_LENGTH = 512;

/** Reads the span of a `traceparent` header. https://www.w3.org/TR/trace-context/ */
export function fromW3c(
  traceparent: string | undefined,
  tracestate: string | undefined,
): SpanContext | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent?.trim() ?? "") ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  const isValid = tracestate !== undefined && tracestate.length <= MAX_TRACESTATE_LENGTH;
  return remote({
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags ?? "", 16) & TraceFlags.SAMPLED,
    ...(isValid ? { traceState: createTraceState(tracestate) } : {}),
  });
}

/** Reads the span of an X-Ray header; `undefined` without `Parent`. */
export function fromXRay(header: string | undefined): SpanContext | undefined {
  const [, time, random] = ROOT.exec(header ?? "") ?? [];
  const spanId = PARENT.exec(header ?? "")?.[1];
  if (time === undefined || random === undefined || spanId === undefined) return undefined;
  return remote({
    traceId: (time + random).toLowerCase(),
    spanId: spanId.toLowerCase(),
    traceFlags: SAMPLED.test(header ?? "") ? TraceFlags.SAMPLED : TraceFlags.NONE,
  });
}

function remote(span: SpanContext): SpanContext | undefined {
  return isSpanContextValid(span) ? { ...span, isRemote: true } : undefined;
}

/** Returns the headers of a span in both formats. */
export function toHeaders(span: SpanContext | undefined): TraceHeaders {
  if (span === undefined || !isSpanContextValid(span)) return {};
  const { traceId, spanId, traceFlags, traceState } = span;
  const state = traceState?.serialize();
  const sampled = traceFlags & TraceFlags.SAMPLED;
  return {
    traceparent: `00-${traceId}-${spanId}-0${sampled}`,
    ...(state ? { tracestate: state } : {}),
    "X-Amzn-Trace-Id": `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)};Parent=${spanId};Sampled=${sampled}`,
  };
}
