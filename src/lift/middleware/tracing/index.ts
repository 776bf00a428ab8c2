export type { TraceHeaders } from "./trace-context.ts";
export { traceHeaders, type WebSocketTracingOptions, webSocketTracing } from "./tracing.ts";
