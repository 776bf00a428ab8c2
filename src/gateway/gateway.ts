import type { Connections } from "../apigw/index.ts";
import { type GatewayOptions, readOptions } from "./options.ts";

export interface ListenOptions {
  /** Default 3001; 0 takes any free one. */
  readonly port?: number;
  /** Default `127.0.0.1`. Beyond loopback the gateway needs `credentials`. */
  readonly host?: string;
}

export interface StopOptions {
  /** ms that invocations in flight get to finish. Default 5,000. */
  readonly drainMs?: number;
  /** ms over which open sockets are closed, so that their clients do not all come back at once. Default 2,000. */
  readonly spreadMs?: number;
}

/** A running API: the server, and its @connections port. */
export interface Gateway extends Connections {
  /**
   * Starts to listen.
   * @throws {GatewayError} ADDRESS_IN_USE, CREDENTIALS_REQUIRED, NOT_LISTENABLE
   */
  listen(options?: ListenOptions): Promise<void>;
  /**
   * Stops gracefully: no new upgrades, invocations in flight finish, every socket is closed with 1001 and its
   * `$disconnect` runs. Twice waits for the first.
   */
  close(options?: StopOptions): Promise<void>;
  /** Where clients connect: `ws://127.0.0.1:3001/dev`. Throws before `listen`. */
  readonly url: string;
  /** Where @connections answers: `http://127.0.0.1:3001/dev`. Throws before `listen`. */
  readonly endpoint: string;
  readonly port: number;
  /** Open connections. */
  readonly size: number;
}

export function createGateway(options: GatewayOptions): Gateway {
  const settings = readOptions(options);
  void settings;
  throw new Error("built in the next commit");
}
