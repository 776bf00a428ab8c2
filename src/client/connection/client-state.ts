import type { ClientError } from "../errors.ts";

/** The state of the connection. A new object with every change. */
export type ClientState =
  /** Before `connect`, and after `disconnect`. */
  | { readonly status: "idle" }
  /** The first connection since `connect`. */
  | { readonly status: "connecting" }
  | { readonly status: "connected" }
  | {
      readonly status: "reconnecting";
      /** The number of the attempt; the first is 1. */
      readonly attempt: number;
      /** When the attempt starts, in ms since the epoch. */
      readonly at: number;
      /** The reason. */
      readonly error: ClientError;
    }
  /** The server closed the connection and refuses another one. */
  | { readonly status: "closed"; readonly error: ClientError };
