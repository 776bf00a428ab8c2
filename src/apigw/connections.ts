import type { Identity } from "./events.ts";
import type { LambdaContext } from "./lambda.ts";

/** What `GET @connections/{id}` tells. */
export interface ConnectionInfo {
  /** ms since the epoch. */
  readonly connectedAt: number;
  /** ms since the epoch. */
  readonly lastActiveAt: number;
  readonly identity: Identity;
}

/**
 * Everyday values, no errors.
 * - `sent`: handed over, not received.
 * - `gone`: the connection has ended, never was, or its `$connect` has not finished.
 * - `connecting`: `gone`, twice, but so young that its `$connect` may be under way. An @connections API can't know:
 *   Lift says it, by the connection's row.
 */
export type PostOutcome = "sent" | "gone" | "connecting";

/** One recipient's share of a broadcast. */
export type BroadcastResult =
  | { readonly connectionId: string; readonly outcome: PostOutcome }
  | { readonly connectionId: string; readonly outcome: "failed"; readonly error: ConnectionsError };

/** What a broadcast came to. The counts and what remains are all of its recipients. */
export interface BroadcastReport {
  readonly sent: number;
  readonly gone: number;
  readonly connecting: number;
  readonly failed: number;
  /**
   * The cursor of a broadcast that stopped early: the ids that nothing was told of, to hand to `broadcast` again.
   * The source goes on where it was. Those that were under way are among them, so they may get it twice. Absent:
   * nobody remains.
   */
  readonly remaining?: AsyncIterable<string>;
  /** On request: one for each, in the order of the ids, without those that remain. */
  readonly results?: readonly BroadcastResult[];
}

export interface PostOptions {
  readonly signal?: AbortSignal;
  /** How long the caller can wait; its retries end in time. A Lambda's context is one. Default: no end. */
  readonly budget?: Pick<LambdaContext, "getRemainingTimeInMillis">;
}

/** Of a broadcast a signal that fires, and a budget that runs out, are no error: it stops and says what remains. */
export interface BroadcastOptions extends PostOptions {
  /** Whether the report has `results`; `"unsent"`: without those that were sent to. Default false. */
  readonly results?: boolean | "unsent";
}

/** Text goes out as a text frame; bytes too, as the service does, so they must be UTF-8. */
export type MessageData = string | Uint8Array;

/**
 * The @connections API as a port: the gateway object is one, so are `awsConnections` and the recorder in
 * `lift-ws/testing`.
 *
 * - No order is promised between two posts that are in flight at the same time.
 * - A signal that is aborted before the call rejects with the signal's reason; what is on its way stays sent.
 */
export interface Connections {
  /**
   * Sends `data`, at most 131,072 bytes, to one connection.
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, LIMIT_EXCEEDED (rate, or the client's buffer is full),
   * BAD_REQUEST (malformed id), FORBIDDEN, UNAVAILABLE
   */
  post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome>;

  /**
   * Sends the same `data` to many; one recipient's failure is no other's. Ids are pulled from their source, one at
   * a time, no faster than they are sent to. Rejects with what the source rejects with.
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, before anything is sent
   */
  broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport>;

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
