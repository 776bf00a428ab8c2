/** The part of a WebSocket that the client uses. Those of browsers, Node and `ws` all have it. */
export interface WebSocketLike {
  /** Sends a text message. */
  send(data: string): void;
  /** Closes the connection. */
  close(code?: number, reason?: string): void;
  /** Adds a listener for an event. */
  // biome-ignore lint/suspicious/noExplicitAny: no other type fits the events of all implementations
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: any) => void): void;
}

/** A WebSocket class, for the client's option `WebSocket`. */
export type WebSocketConstructor = new (url: string) => WebSocketLike;
