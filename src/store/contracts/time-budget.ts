/** The time that a caller can wait for an answer. A Lambda context is one. */
export interface TimeBudget {
  /** Returns the ms that are left; a store call rejects before they are over. */
  getRemainingTimeInMillis(): number;
}
