export { type AccessRefusal, refusalLog } from "./browser-access.ts";
export type { Clock, Timer } from "./clock.ts";
export { ManualClock, systemClock } from "./clock.ts";
export type { GatewayErrorCode } from "./errors.ts";
export { GatewayError } from "./errors.ts";
export type { Gateway, ListenOptions, StopOptions } from "./gateway.ts";
export { createGateway } from "./gateway.ts";
export type { Credentials, EventReport, GatewayLimits, GatewayOptions } from "./options.ts";
export { DEFAULT_LIMITS } from "./options.ts";
