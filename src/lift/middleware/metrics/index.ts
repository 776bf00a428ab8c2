export { type EmfOptions, emfCollector } from "./emf.ts";
export {
  type EventMetrics,
  type MetricsCollector,
  type WebSocketMetricsOptions,
  webSocketMetrics,
} from "./metrics.ts";
