import type { AwsTarget } from "../../aws/index.ts";
import { type OptionChecks, text } from "../../internal/options.ts";
import { RolloutError } from "../errors.ts";

/** The place of a flag's value. */
export interface FlagSource {
  /**
   * Reads the value; `undefined` when there is none.
   * @param signal aborted when the flag stops waiting
   */
  read(signal: AbortSignal): Promise<string | undefined> | string | undefined;
}

/** A place whose value can be written. A rollout keeps the flag's value in one, and its own state in another. */
export interface FlagTarget extends FlagSource {
  /**
   * Writes a value, but only over the value that was read: of two writers at once, one fails.
   * @param last the value that was read; `undefined` when there was none
   * @throws {RolloutError} CONFLICT when the value is another one
   */
  write(value: string, last: string | undefined, signal: AbortSignal): Promise<void> | void;
}

/**
 * Reads a flag from an environment variable. To change it, deploy the function's configuration again.
 * @param name Default `USE_LIFT_V2`
 * @example
 * const flag = createFlag({ source: environmentFlag() });
 */
export function environmentFlag(
  name = "USE_LIFT_V2",
  environment: { readonly [name: string]: string | undefined } = process.env,
): FlagSource {
  return { read: () => environment[name] };
}

/**
 * Holds a flag's value in memory, for tests and for handlers in one process.
 * @example
 * const flag = memoryFlag();
 */
export function memoryFlag(value?: string): FlagTarget {
  let current = value;
  return {
    read: () => current,
    write(next, last) {
      if (current !== last) throw new RolloutError("CONFLICT");
      current = next;
    },
  };
}

export const AWS_TARGET: OptionChecks<AwsTarget> = {
  endpoint: text,
  region: text,
  credentials: {
    test: (value) => Object(value) === value,
    expected: "credentials or a function that returns them",
  },
};
