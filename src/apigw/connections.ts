import type { Identity } from "./events.ts";

/** What `GET @connections/{id}` tells. */
export interface ConnectionInfo {
  /** ms since the epoch. */
  readonly connectedAt: number;
  /** ms since the epoch. */
  readonly lastActiveAt: number;
  readonly identity: Identity;
}

/** `gone`: the connection has ended, never was, or its `$connect` has not finished. An everyday value, no error. */
export type PostOutcome = "sent" | "gone";

/** One recipient's share of a broadcast. */
export type BroadcastResult =
  | { readonly connectionId: string; readonly outcome: PostOutcome }
  | { readonly connectionId: string; readonly outcome: "failed"; readonly error: ConnectionsError };

export interface PostOptions {
  readonly signal?: AbortSignal;
}

/** Text goes out as a text frame; bytes too, as the service does, so they must be UTF-8. */
export type Data = string | Uint8Array;

/**
 * The @connections API as a port: the gateway object is one, so are the AWS SDK's client and the recorder in
 * `lift-ws/testing`.
 *
 * - No order is promised between two posts that are in flight at the same time.
 * - `sent` means handed over, not received.
 * - A signal that is aborted before the call rejects with the signal's reason; what is on its way stays sent.
 */
export interface Connections {
  /**
   * Sends `data`, at most 131,072 bytes, to one connection.
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, LIMIT_EXCEEDED (rate, or the client's buffer is full),
   * BAD_REQUEST (malformed id), FORBIDDEN, UNAVAILABLE
   */
  post(connectionId: string, data: Data, options?: PostOptions): Promise<PostOutcome>;

  /**
   * Sends the same `data` to many; one recipient's failure is no other's. Results stand in the order of `ids`.
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, before anything is sent
   */
  broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: Data,
    options?: PostOptions,
  ): Promise<BroadcastResult[]>;

  /** `undefined`: gone. */
  get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined>;

  /** Closes the connection. `false`: it was gone already. The service takes no code and no reason. */
  disconnect(connectionId: string, options?: PostOptions): Promise<boolean>;
}

export type ConnectionsErrorCode =
  | "BAD_REQUEST"
  | "FORBIDDEN"
  | "LIMIT_EXCEEDED"
  | "PAYLOAD_TOO_LARGE"
  | "UNAVAILABLE";

/** Why an @connections call failed. Gone is not among the reasons: it is a value. */
export class ConnectionsError extends Error {
  override readonly name = "ConnectionsError";
  readonly code: ConnectionsErrorCode;

  constructor(code: ConnectionsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
