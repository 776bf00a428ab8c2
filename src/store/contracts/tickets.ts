import type { JsonObject } from "./json.ts";
import type { TimeBudget } from "./time-budget.ts";

/**
 * Stores one-time tickets by their hashes, so that a reader of the store cannot use them. Every implementation guarantees:
 *
 * - Exactly one of several concurrent calls that take the same ticket gets its content.
 * - A repeated `take`, after its response was lost, may get nothing. So a ticket may be wasted but is never used twice.
 */
export interface TicketStore {
  /** @param expiresAt ms since the epoch: the ticket is invalid from then on */
  save(hash: string, content: JsonObject, expiresAt: number, budget?: TimeBudget): Promise<void>;

  /**
   * Removes a ticket and returns its content.
   * @param now ms since the epoch
   * @returns `undefined` when the ticket is unknown, was taken, or has expired
   */
  take(hash: string, now: number, budget?: TimeBudget): Promise<JsonObject | undefined>;
}
