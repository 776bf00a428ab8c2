import { findOptionFault, type OptionCheck } from "../internal/options.ts";

/** Every code of `RolloutError`, with its default message. */
export const ROLLOUT_ERROR_CODES = {
  INVALID_OPTION: "An option is unknown, invalid or missing",
  DIFFERENCES_OPEN:
    "The secondary store differs from the primary; call `reconcile` first, or pass `force: true`",
  SWAP_RUNNING: "Another `swapRoles` is running; wait for it",
  INVALID_FLAG: "The value of a flag is malformed",
  INVALID_INPUT: "The state of the rollout is malformed, or does not allow the input",
  CONFLICT: "The state or the flag of the rollout was changed by another operator; look at its status",
  METRICS_UNAVAILABLE: "The source of metrics does not answer",
  INVALID_METRICS: "The source of metrics answered nothing, nonsense, or with other times",
  CLOCK_JUMPED: "The clock was changed during a window, so the window is not used",
  AUDIT_FAILED: "The audit log cannot be written",
  NOT_LISTABLE: "The store cannot list all its rows; it needs the optional method `listPage`",
} as const;

/** A code of `RolloutError`. */
export type RolloutErrorCode = keyof typeof ROLLOUT_ERROR_CODES;

/**
 * The error class of `lift-ws/rollout`. Switch on `code`; `message` may change between versions.
 * @example
 * try {
 *   await store.swapRoles();
 * } catch (error) {
 *   if (error instanceof RolloutError && error.code === "DIFFERENCES_OPEN") await store.reconcile();
 *   else throw error;
 * }
 */
export class RolloutError extends Error {
  override readonly name = "RolloutError";
  /** The reason for the failure. Stable across versions. */
  readonly code: RolloutErrorCode;

  /** @param message default: the code's own */
  constructor(code: RolloutErrorCode, message?: string, options?: ErrorOptions) {
    super(message ?? ROLLOUT_ERROR_CODES[code], options);
    this.code = code;
  }
}

/** @throws {RolloutError} INVALID_OPTION for an unknown, invalid or missing option; see `findOptionFault` */
export function checkOptions(
  options: object,
  checks: { readonly [name: string]: OptionCheck },
  required: readonly string[] = [],
): void {
  const fault = findOptionFault(options, checks, { required });
  if (fault !== undefined) throw new RolloutError("INVALID_OPTION", fault);
}
