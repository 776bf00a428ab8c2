// Messages between the checker's process and the server's.

import type { TableStreamEvent } from "../../src/lambda-emulator/index.ts";
import type { Position } from "../../src/protocol/index.ts";
import type { FanOutReport } from "../../src/streamer/index.ts";
import type { LoadProfile } from "./load-profile.ts";
import type { StoredFact } from "./log.ts";
import type { StoreConfig } from "./stores.ts";

/** Start-up configuration of the server process. */
export interface ServerConfig {
  readonly storeConfig: StoreConfig;
  /** The folder of the blob store, for results that are too large for the store of requests. */
  readonly blobFolder: string;
  readonly seed: number;
  readonly profile: LoadProfile;
  /** Speed of the gateway's clock at the start. */
  readonly speed: number;
  readonly bug?: string | undefined;
}

/** Probability of each fault per call or delivery, 0 to 1. */
export interface FaultRates {
  readonly storeFails: number;
  /** The call takes effect and then fails. */
  readonly storeFailsAfter: number;
  readonly storeSlow: number;
  readonly storeThrottled: number;
  /** Throttles the store of requests alone, because the others have to keep up. */
  readonly requestsThrottled: number;
  /** A message or disconnect is handled after later events. */
  readonly invocationLate: number;
  readonly handlerCrashesBefore: number;
  readonly handlerCrashesAfter: number;
  /** Loses one recipient of a broadcast. */
  readonly deliveryLost: number;
  readonly answerLost: number;
  readonly deliveryTwice: number;
  readonly deliveryLate: number;
}

export const NO_FAULTS: FaultRates = {
  storeFails: 0,
  storeFailsAfter: 0,
  storeSlow: 0,
  storeThrottled: 0,
  requestsThrottled: 0,
  invocationLate: 0,
  handlerCrashesBefore: 0,
  handlerCrashesAfter: 0,
  deliveryLost: 0,
  answerLost: 0,
  deliveryTwice: 0,
  deliveryLate: 0,
};

/** Where to end the process: at the next message that is stored, or at a call about a request. */
export interface Crash {
  readonly when: "before the store" | "after the store";
  /** How many calls about requests still pass. Absent: at a message. */
  requestCalls?: number | undefined;
}

export interface ServerPublication {
  readonly uid: string;
  readonly tenant: string;
  readonly channel: string;
  readonly key: string;
}

export type ToServer =
  | { readonly type: "fault rates"; readonly rates: FaultRates }
  | ({ readonly type: "crash" } & Crash)
  /** Starts a worker with a clock that is a minute ahead: it takes requests whose leases have not expired. */
  | { readonly type: "start early worker" }
  | { readonly type: "speed"; readonly speed: number }
  | { readonly type: "publish"; readonly publication: ServerPublication }
  | { readonly type: "get live stream"; readonly tenant: string; readonly channel: string }
  /** The table stream calls the fan-out function. */
  | { readonly type: "fan out"; readonly call: number; readonly event: TableStreamEvent };

export type FromServer =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "fault"; readonly fault: string }
  | { readonly type: "ticked" }
  /** The store carried out a call about a request. */
  | { readonly type: "stored"; readonly fact: StoredFact }
  /** Messages that another process stored and did not deliver were fanned out. */
  | { readonly type: "resumed"; readonly count: number }
  | {
      readonly type: "live stream";
      readonly tenant: string;
      readonly channel: string;
      /** Absent when nobody streams. */
      readonly user?: string | undefined;
      readonly since?: number | undefined;
    }
  /** The report is absent when the fan-out failed. */
  | { readonly type: "fanned out"; readonly call: number; readonly report?: FanOutReport | undefined }
  | {
      readonly type: "published";
      readonly uid: string;
      /** Absent when the publication failed. */
      readonly position?: Position | undefined;
    };
