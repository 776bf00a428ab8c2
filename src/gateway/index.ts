export type { Clock, Timer } from "./clock.ts";
export { ManualClock, systemClock } from "./clock.ts";
export type { GatewayErrorCode } from "./errors.ts";
export { GatewayError } from "./errors.ts";
export type { Gateway, ListenOptions, StopOptions } from "./gateway.ts";
export { createGateway } from "./gateway.ts";
export type {
  AccessRefusal,
  CallDecision,
  ConnectionsCall,
  Credentials,
  EventReport,
  GatewayLimits,
  GatewayOptions,
} from "./options.ts";
export { DEFAULT_LIMITS } from "./options.ts";
export { createApiId } from "./sockets/ids.ts";
export { createRefusalLogger, parseHostname, serviceHost } from "./upgrade/browser-access.ts";
