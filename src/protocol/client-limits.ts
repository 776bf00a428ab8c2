/** What a client goes by of the limits, apart from the others, which a page does not load. */
export const CLIENT_LIMITS = {
  /** A channel's name behind its namespace. */
  channelNameBytes: 200,
  /** In one `subscribe`, `unsubscribe` or `heartbeat`. */
  channels: 100,
  /** Messages that are asked for at once. */
  messages: 100,
  /** A message from a client that comes in one: the service takes no larger frame. */
  clientFrameBytes: 32_768,
  /** A message to a client, and one from a client that comes in parts. */
  frameBytes: 131_072,
} as const;
