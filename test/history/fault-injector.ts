import { type Crash, type FaultRates, NO_FAULTS } from "./process-messages.ts";
import type { Random } from "./random.ts";

/** Names of the faults in the log. */
export const FAULT_NAMES: { readonly [Name in keyof FaultRates]: string } = {
  storeFails: "store failed before",
  storeFailsAfter: "store failed after",
  storeSlow: "store slow",
  storeThrottled: "store throttled",
  requestsThrottled: "request store throttled",
  invocationLate: "invocation late",
  handlerCrashesBefore: "handler crashed before the store",
  handlerCrashesAfter: "handler crashed after the store",
  deliveryLost: "delivery lost",
  answerLost: "answer lost",
  deliveryTwice: "delivery twice",
  deliveryLate: "delivery late",
};

/** Draws the faults in the server's process, at the rates that the checker sets. */
export class FaultInjector {
  readonly random: Random;
  readonly #log: (fault: string) => void;
  rates: FaultRates = NO_FAULTS;
  crash: Crash | undefined;

  constructor(random: Random, log: (fault: string) => void) {
    this.random = random;
    this.#log = log;
  }

  /** Draws whether a fault happens now, and logs it. */
  inject(fault: keyof FaultRates): boolean {
    if (!this.random.chance(this.rates[fault])) return false;
    this.#log(FAULT_NAMES[fault]);
    return true;
  }
}
