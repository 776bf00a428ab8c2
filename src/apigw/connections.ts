import type { Identity } from "./events.ts";
import type { LambdaContext } from "./lambda.ts";

/** The response of `GET @connections/{id}`. */
export interface ConnectionInfo {
  /** ms since the epoch. */
  readonly connectedAt: number;
  /** ms since the epoch. */
  readonly lastActiveAt: number;
  /** The client's address and user agent. */
  readonly identity: Identity;
}

/**
 * The outcome of a post. None of these is an error.
 * - `sent`: passed on to the connection, which does not prove that the client received it.
 * - `gone`: the connection has ended, never existed, or its `$connect` has not finished.
 * - `connecting`: `gone` twice, but so young that its `$connect` may still run. The @connections API cannot tell: Lift
 *   derives it from the connection's row.
 */
export type PostOutcome = "sent" | "gone" | "connecting";

/** The outcome of a broadcast for one recipient. */
export type BroadcastResult =
  | { readonly connectionId: string; readonly outcome: PostOutcome }
  | { readonly connectionId: string; readonly outcome: "failed"; readonly error: ConnectionsError };

/** The outcome of a broadcast. The counts and the remaining ids add up to all recipients. */
export interface BroadcastReport {
  /** The number of connections that the message was sent to. */
  readonly sent: number;
  /** The number of connections that have ended. */
  readonly gone: number;
  /** The number of connections whose `$connect` has not finished. */
  readonly connecting: number;
  /** The number of connections that could not be sent to. */
  readonly failed: number;
  /**
   * The ids without an outcome, when the broadcast stopped early. Pass them to `broadcast` again: the source continues
   * where it stopped. Sends that were in progress are among them, so a recipient may get the message twice. Absent when
   * none remain.
   */
  readonly remaining?: AsyncIterable<string>;
  /** One result per recipient, in the order of the ids, without the remaining ones. Only with the option `results`. */
  readonly results?: readonly BroadcastResult[];
}

/** Options of each call to @connections. */
export interface PostOptions {
  /** Cancels the call. Default: none. */
  readonly signal?: AbortSignal;
  /** Ends retries in time: pass a Lambda's context. Default: no limit. */
  readonly budget?: Pick<LambdaContext, "getRemainingTimeInMillis">;
}

/** Options of `broadcast`. At the signal, or when the budget ends, a broadcast stops and reports the remaining ids. */
export interface BroadcastOptions extends PostOptions {
  /** Whether the report has `results`; `"unsent"` leaves out successful ones. Default: false. */
  readonly results?: boolean | "unsent";
}

/** A message to a client. Bytes go out as a text frame too, as the service does, so they must be UTF-8. */
export type MessageData = string | Uint8Array;

/**
 * The @connections API as a port. The gateway object, `awsConnections` and the recorder in `lift-ws/testing` implement it.
 *
 * - Two posts in flight at the same time may arrive in any order.
 * - A signal that is aborted before the call rejects with its reason. Aborting later does not take back a message.
 */
export interface Connections {
  /**
   * Sends `data`, at most 131,072 bytes, to one connection.
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, LIMIT_EXCEEDED (rate, or the client's buffer is full),
   * BAD_REQUEST (malformed id), FORBIDDEN, UNAVAILABLE
   */
  post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome>;

  /**
   * Sends the same `data` to many connections; one failure does not affect other recipients. Pulls ids from their source
   * one at a time, no faster than it sends. Rejects with the source's error.
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, before anything is sent
   */
  broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport>;

  /** Reads a connection. Returns `undefined` when it is gone. */
  get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined>;

  /** Closes a connection. Returns `false` when it is gone. The service accepts no close code or reason. */
  disconnect(connectionId: string, options?: PostOptions): Promise<boolean>;
}

/** The codes of `ConnectionsError`. */
export type ConnectionsErrorCode =
  | "BAD_REQUEST"
  | "FORBIDDEN"
  | "LIMIT_EXCEEDED"
  | "PAYLOAD_TOO_LARGE"
  | "UNAVAILABLE";

/** A failed @connections call. Switch on `code`. A gone connection is a value, not an error. */
export class ConnectionsError extends Error {
  override readonly name = "ConnectionsError";
  /** The reason for the failure. Stable across versions. */
  readonly code: ConnectionsErrorCode;

  constructor(code: ConnectionsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
