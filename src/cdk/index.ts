export type { BundlingOptions } from "./bundled-code.ts";
export { type FunctionSettings, LiftFunction, type LiftFunctionProps } from "./lift-function.ts";
export { type MonitoringProps, StreamerMonitoring } from "./monitoring.ts";
export { type BlobBucketProps, Streamer, type StreamerFunction, type StreamerProps } from "./streamer.ts";
export {
  type ApiSettings,
  type AuthorizerProps,
  type DomainProps,
  LiftWebSocketApi,
  type LiftWebSocketApiProps,
} from "./web-socket-api.ts";
