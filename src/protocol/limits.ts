// The limits that clients check are separate constants, so that a bundler drops the others from a page.

/** Maximum size of a channel's name after its namespace, in bytes of UTF-8. */
export const MAX_CHANNEL_NAME_BYTES = 200;

/** Channels in one `subscribe`, `unsubscribe` or `heartbeat`. */
export const MAX_CHANNELS = 100;

/** An `id` or a `key`, in bytes of UTF-8. */
export const MAX_ID_BYTES = 128;

/** Messages in one page of history. */
export const MAX_MESSAGES = 100;

/** A message from a client in one frame, in bytes of UTF-8: API Gateway accepts no larger frame. */
export const MAX_CLIENT_FRAME_BYTES = 32_768;

/** A message to a client, or one from a client in chunks, in bytes of UTF-8: API Gateway's limit for a message. */
export const MAX_MESSAGE_BYTES = 131_072;

/** The protocol's own limits: PROTOCOL.md, "Limits". Sizes are bytes of UTF-8. */
export const LIMITS = {
  channelNameBytes: MAX_CHANNEL_NAME_BYTES,
  channels: MAX_CHANNELS,
  messages: MAX_MESSAGES,
  clientFrameBytes: MAX_CLIENT_FRAME_BYTES,
  messageBytes: MAX_MESSAGE_BYTES,
  idBytes: MAX_ID_BYTES,
  /** A user id in `after` of `presence`. */
  userBytes: 1_024,
  /** A user's presence state in a channel, as JSON. */
  stateBytes: 1_024,
  /** The data of a live stream, as JSON. */
  streamBytes: 1_024,
  /** Parts of a message. In a part, a character of JSON takes at most two bytes more. */
  parts: 16,
  /** Levels of nested JSON. */
  depth: 64,
  /** The token of a `refresh`. */
  tokenBytes: 16_384,
  /** The `id` of a long request without a user: everyone who knows it can read the request, so it must be random. */
  anonymousIdBytes: 16,
  /** The JSON of a result in one message; a larger one is read in pieces. */
  resultBytes: 98_304,
  /** Requests in one page. */
  requests: 100,
} as const;
