/** Every code of `StoreError`, with its default message. */
export const STORE_ERROR_CODES = {
  INVALID_OPTION: "An option is unknown, invalid or missing",
  TOO_MANY_CONNECTIONS: "The store has reached its `maxConnections`",
  STORE_UNAVAILABLE: "The store did not answer in time; retry the call later",
  STORE_REFUSED: "The store refused the call and would refuse it again",
  BAD_ROW: "A stored row is malformed",
} as const;

/** A code of `StoreError`. */
export type StoreErrorCode = keyof typeof STORE_ERROR_CODES;

/**
 * The only error that stores throw. Switch on `code`; `message` may change between versions. It is meant for logs, not
 * for clients.
 * @example
 * try {
 *   await store.save(connection);
 * } catch (error) {
 *   if (error instanceof StoreError && error.code === "STORE_UNAVAILABLE") return retryLater();
 *   throw error;
 * }
 */
export class StoreError extends Error {
  override readonly name = "StoreError";
  /** The reason for the failure. Stable across versions. */
  readonly code: StoreErrorCode;

  /** @param message default: the code's own */
  constructor(code: StoreErrorCode, message?: string, options?: { readonly cause: unknown }) {
    super(message ?? STORE_ERROR_CODES[code], options);
    this.code = code;
  }
}
