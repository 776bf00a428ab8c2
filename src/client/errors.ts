import type { ErrorBody, Position } from "../protocol/index.ts";

/** The client's own codes. What the server answers comes with its code: PROTOCOL.md, "Error codes". */
export type ClientErrorCode =
  | "INVALID_OPTION"
  | "INVALID_CHANNEL"
  | "NOT_JSON"
  | "TOO_LARGE"
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
  readonly code: ClientErrorCode | (string & {});
  readonly retry: boolean;
  readonly details?: unknown;
  readonly position?: Position;

  constructor(code: ClientErrorCode | (string & {}), message: string, options: ClientErrorOptions = {}) {
    const { retry = false, cause, details, position } = options;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retry = retry;
    if (details !== undefined) this.details = details;
    if (position !== undefined) this.position = position;
  }
}

/** What the server answered. */
export function serverError({ code, message, retry, details }: ErrorBody): ClientError {
  return new ClientError(code, message, { retry, details });
}

/** Any thrown value as the client's own error. */
export function toClientError(thrown: unknown, code: ClientErrorCode, message: string): ClientError {
  return thrown instanceof ClientError ? thrown : new ClientError(code, message, { cause: thrown });
}
