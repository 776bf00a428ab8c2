import {
  blobs,
  type Client,
  type ClientError,
  type ClientOptions,
  createClient,
  presence,
  requests,
  streams,
} from "../../src/client/index.ts";
import { ModelServer } from "./model-server.ts";
import { TestClock } from "./test-clock.ts";

export interface Setup {
  readonly clock: TestClock;
  readonly server: ModelServer;
  readonly client: Client;
  /** The errors of `onError`. */
  readonly errors: ClientError[];
  /** Every status so far. */
  readonly statuses: string[];
}

/** Every feature without options. */
export const FEATURES = [requests(), presence(), streams(), blobs()];

/** A client of a model server, not connected. Random numbers are always 0.5. */
export function setup(options: Partial<ClientOptions> = {}): Setup {
  const clock = new TestClock();
  const server = new ModelServer(clock);
  const { WebSocket } = server;
  const client = createClient({
    url: "ws://model/",
    WebSocket,
    clock,
    random: () => 0.5,
    use: FEATURES,
    ...options,
  });
  const errors: ClientError[] = [];
  const statuses: string[] = [];
  client.onError((error) => errors.push(error));
  client.onState(({ status }) => statuses.push(status));
  return { clock, server, client, errors, statuses };
}

/** The same, connected. */
export async function connected(options: Partial<ClientOptions> = {}): Promise<Setup> {
  const all = setup(options);
  all.client.connect();
  await all.clock.pass(10);
  return all;
}

/** A token with these times, in ms since the epoch. */
export function jwt(expiresAt: number, issuedAt?: number): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${encode({ alg: "none" })}.${encode({ sub: "ada", exp: expiresAt / 1_000, ...(issuedAt && { iat: issuedAt / 1_000 }) })}.signature`;
}
