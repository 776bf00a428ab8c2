/** Every code that a store throws. */
export const STORE_ERROR_CODES = {
  INVALID_OPTION: "An option is unknown or invalid",
  TOO_MANY_CONNECTIONS: "The store holds as many connections as it may",
  STORE_UNAVAILABLE: "The store did not answer in time; the same call may succeed later",
  STORE_REFUSED: "The store refused the call, and would refuse it again",
  BAD_ROW: "A stored row is malformed",
} as const;

export type StoreErrorCode = keyof typeof STORE_ERROR_CODES;

/** The one error of the stores. Switch on `code`; `message` may change. It is for logs, not for clients. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message?: string, options?: { readonly cause: unknown }) {
    super(message ?? STORE_ERROR_CODES[code], options);
    this.code = code;
  }
}
