// What the checker and the server's process say to each other.

import type { TableStreamEvent } from "../../src/lambda-emulator/index.ts";
import type { Position } from "../../src/protocol/index.ts";
import type { FanOutReport } from "../../src/streamer/index.ts";
import type { Pace } from "./load-profile.ts";
import type { Backing } from "./stores.ts";

/** What the server's process begins with. */
export interface ServerConfig {
  readonly backing: Backing;
  readonly seed: number;
  readonly pace: Pace;
  /** Of the gateway's clock, by now. */
  readonly speed: number;
  readonly plant?: string | undefined;
}

/** How often what goes wrong, of calls and deliveries: 0 to 1. */
export interface Chances {
  readonly storeFails: number;
  /** It has done what was asked, and says that it has not. */
  readonly storeFailsAfter: number;
  readonly storeSlow: number;
  readonly storeThrottled: number;
  /** A message or the end of a connection is handled late, behind what came later. */
  readonly invocationLate: number;
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
  storeThrottled: 0,
  invocationLate: 0,
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
  | { readonly type: "publish"; readonly publication: ServerPublication }
  | { readonly type: "who streams"; readonly tenant: string; readonly channel: string }
  /** The messages' stream calls its function. */
  | { readonly type: "fan out"; readonly call: number; readonly event: TableStreamEvent };

export type FromServer =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "fault"; readonly fault: string }
  | { readonly type: "ticked" }
  /** What another process has stored and left was sent, so many messages. */
  | { readonly type: "finished"; readonly count: number }
  | {
      readonly type: "streams";
      readonly tenant: string;
      readonly channel: string;
      /** Absent: nobody. */
      readonly user?: string | undefined;
      readonly since?: number | undefined;
    }
  /** Without a report it has failed. */
  | { readonly type: "fanned out"; readonly call: number; readonly report?: FanOutReport | undefined }
  | {
      readonly type: "published";
      readonly uid: string;
      /** Absent: it failed. */
      readonly position?: Position | undefined;
    };
