// What the checker and the server's process say to each other.
import type { Position } from "../../src/protocol/index.ts";
import type { Backing } from "./stores.ts";

/** What the server's process begins with. */
export interface ServerConfig {
  readonly backing: Backing;
  readonly seed: number;
  /** Of the gateway's clock: the limits of 2 hours and 10 minutes come soon. */
  readonly speed: number;
  readonly limits: { readonly idleMs: number; readonly lifetimeMs: number };
  readonly plant?: string | undefined;
}

/** How often what goes wrong, of calls and deliveries: 0 to 1. */
export interface Chances {
  readonly storeFails: number;
  /** It has done what was asked, and says that it has not. */
  readonly storeFailsAfter: number;
  readonly storeSlow: number;
  readonly handlerCrashesBefore: number;
  readonly handlerCrashesAfter: number;
  /** Of a message to many. */
  readonly deliveryLost: number;
  readonly answerLost: number;
  readonly deliveryTwice: number;
  readonly deliveryLate: number;
}

export const NO_FAULTS: Chances = {
  storeFails: 0,
  storeFailsAfter: 0,
  storeSlow: 0,
  handlerCrashesBefore: 0,
  handlerCrashesAfter: 0,
  deliveryLost: 0,
  answerLost: 0,
  deliveryTwice: 0,
  deliveryLate: 0,
};

export interface ServerPublication {
  readonly uid: string;
  readonly tenant: string;
  readonly channel: string;
  readonly key: string;
}

export type ToServer =
  | { readonly type: "chances"; readonly chances: Chances }
  /** At the next message that is stored. */
  | { readonly type: "die"; readonly when: "before the store" | "after the store" }
  | { readonly type: "speed"; readonly speed: number }
  | { readonly type: "publish"; readonly publication: ServerPublication };

export type FromServer =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "fault"; readonly fault: string }
  | {
      readonly type: "published";
      readonly uid: string;
      /** Absent: it failed. */
      readonly position?: Position | undefined;
    };
