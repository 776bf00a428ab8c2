import { CLIENT_LIMITS } from "./client-limits.ts";

/** The protocol's own limits: PROTOCOL.md, "Limits". Sizes are bytes of UTF-8. */
export const LIMITS = {
  ...CLIENT_LIMITS,
  /** Of `id` and `key`. */
  idBytes: 128,
  /** Of a user's id that `presence` goes on behind. */
  userBytes: 1_024,
  /** What a user shows of themself in a channel, as JSON. */
  stateBytes: 1_024,
  /** What a stream's owner shows of it, as JSON. */
  streamBytes: 1_024,
  /** Of a message in parts: a text's characters take two bytes more in a part at the worst. */
  parts: 16,
  /** Levels of JSON in one another. */
  depth: 64,
  /** What `refresh` takes. */
  tokenBytes: 16_384,
} as const;
