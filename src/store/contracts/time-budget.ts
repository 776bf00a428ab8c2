/** The time that a caller can wait for a response. A Lambda context is one. */
export interface TimeBudget {
  /** Returns the remaining ms. A store call rejects before they are over. */
  getRemainingTimeInMillis(): number;
}
