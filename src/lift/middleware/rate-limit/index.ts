export type { RateLimiter } from "./memory-limiter.ts";
export { type MemoryRate, type Rate, RateCounter, type StoredRate } from "./rate-counter.ts";
export {
  defaultRateLimits,
  type MemoryRateLimit,
  type RateLimit,
  type RateLimitOptions,
  type StoredRateLimit,
  webSocketRateLimit,
} from "./rate-limit.ts";
export type { RateLimitKey } from "./rate-limit-key.ts";
