import { type Chances, NO_FAULTS } from "./control.ts";
import type { Random } from "./random.ts";

/** What a fault is called in the log. */
export const FAULT_NAMES: { readonly [Name in keyof Chances]: string } = {
  storeFails: "store failed before",
  storeFailsAfter: "store failed after",
  storeSlow: "store slow",
  storeThrottled: "store throttled",
  invocationLate: "invocation late",
  handlerCrashesBefore: "handler crashed before the store",
  handlerCrashesAfter: "handler crashed after the store",
  deliveryLost: "delivery lost",
  answerLost: "answer lost",
  deliveryTwice: "delivery twice",
  deliveryLate: "delivery late",
};

/** What goes wrong in the server's process, as far as it has been told to. */
export class Mischief {
  readonly random: Random;
  readonly #tell: (fault: string) => void;
  chances: Chances = NO_FAULTS;
  /** When it is to end the process. */
  deadly: "before the store" | "after the store" | undefined;

  constructor(random: Random, tell: (fault: string) => void) {
    this.random = random;
    this.#tell = tell;
  }

  happens(chance: keyof Chances): boolean {
    if (!this.random.chance(this.chances[chance])) return false;
    this.#tell(FAULT_NAMES[chance]);
    return true;
  }
}
