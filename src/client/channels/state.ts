import type { ClientError } from "../errors.ts";

/** Where the connection is. Another object with every change. */
export type ClientState =
  /** Not asked to connect, or told to disconnect. */
  | { readonly status: "idle" }
  /** For the first time since it was asked to. */
  | { readonly status: "connecting" }
  | { readonly status: "connected" }
  | {
      readonly status: "reconnecting";
      /** 1: the first try to come back. */
      readonly attempt: number;
      /** When it is made, in ms since the epoch. */
      readonly at: number;
      /** Why. */
      readonly error: ClientError;
    }
  /** Ended for good by the server. */
  | { readonly status: "closed"; readonly error: ClientError };
