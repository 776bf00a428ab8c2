import type { ErrorBody, Position } from "../protocol/index.ts";

/** The client's own codes. What the server answers comes with its code: PROTOCOL.md, "Error codes". */
export type ClientErrorCode =
  | "INVALID_OPTION"
  | "INVALID_CHANNEL"
  | "NOT_JSON"
  | "TOO_LARGE"
  | "TRANSFER_FAILED"
  | "ABORTED"
  | "TIMEOUT"
  | "CONNECTION_CLOSED"
  | "CONNECT_FAILED"
  | "TOKEN_FAILED"
  | "OUTBOX_FULL"
  | "OUTCOME_UNKNOWN"
  | "STORAGE_FAILED"
  | "BUFFER_FULL"
  | "HISTORY_LOST";

export interface ClientErrorOptions {
  /** Whether the same may succeed later. Default: false. */
  readonly retry?: boolean;
  readonly cause?: unknown;
  /** What the server says beside its message. */
  readonly details?: unknown;
  /** Of HISTORY_LOST: where the channel goes on. */
  readonly position?: Position;
}

/** The one error of the client. Switch on `code`; `message` may change. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  declare readonly code: ClientErrorCode | (string & {});
  declare readonly retry: boolean;
  declare readonly details: unknown;
  declare readonly position: Position | undefined;

  constructor(
    code: ClientErrorCode | (string & {}),
    message: string,
    { retry = false, cause, details, position }: ClientErrorOptions = {},
  ) {
    super(message, cause === undefined ? {} : { cause });
    Object.assign(this, { code, retry, details, position });
  }
}

/** What the server answered. */
export function toClientError(error: ErrorBody): ClientError {
  return new ClientError(error.code, error.message, error);
}
