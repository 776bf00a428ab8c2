import type { ErrorBody, Position } from "../protocol/index.ts";

/** The client's own error codes. Errors of the server keep their codes: PROTOCOL.md, "Error codes". */
export type ClientErrorCode =
  | "INVALID_OPTION"
  | "FEATURE_MISSING"
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
  /** Whether a retry may succeed. Default: false. */
  readonly retry?: boolean;
  readonly cause?: unknown;
  /** Details from the server. */
  readonly details?: unknown;
  /** For HISTORY_LOST: the position from which the channel continues. */
  readonly position?: Position;
}

/** Every error of the client. Switch on `code`; `message` may change. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  /** The reason, one of the client's or the server's codes. */
  declare readonly code: ClientErrorCode | (string & {});
  /** Whether the same request may succeed later. */
  declare readonly retry: boolean;
  /** Details of the error, such as the issues of VALIDATION_ERROR. */
  declare readonly details: unknown;
  /** The position at which messages continue after HISTORY_LOST. */
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

/** @param feature the function that makes the feature, such as `blobs` */
export function featureMissing(name: string, feature: string): ClientError {
  return new ClientError("FEATURE_MISSING", `\`${name}\` needs createClient({ use: [${feature}()] })`);
}

/** After these codes the server may have carried out the request: PROTOCOL.md, "Error codes". */
export const UNCERTAIN_CODES = ["STORE_FAILED", "TIMEOUT", "CONNECTION_CLOSED", "INTERNAL_ERROR"];

/** @param cause the last error */
export function outcomeUnknown(cause: unknown): ClientError {
  return new ClientError("OUTCOME_UNKNOWN", "The request may have been carried out", { cause });
}

/** Converts an error from the server. */
export function toClientError(error: ErrorBody): ClientError {
  return new ClientError(error.code, error.message, error);
}
