import { connectHandler, Lift, type WebSocketHandler } from "lift-ws";
import { connectAuth, webSocketAuth } from "lift-ws/middleware/auth";
import type { ConnectionStore, Schedule } from "lift-ws/store";

export interface ChatOptions {
  /** Verifies a token. Rejects if it is forged, expired, or for another audience. */
  readonly verify: (token: string) => Promise<ChatIdentity>;
  readonly connectionStore: ConnectionStore;
  /** Closes connections whose token expires. */
  readonly schedule: Schedule;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

export interface ChatIdentity {
  readonly sub: string;
  /** Absent for a user without a tenant, who sees no other user. */
  readonly tenant?: string | undefined;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

/** The state of a connection between its events. */
export type State = { room: string };

/**
 * Creates an app that users can connect to, without the chat's routes. The function for the clock needs no more, so it starts
 * without the schemas of messages. When its token expires, a connection gets an error and is closed.
 */
export function createConnect({
  verify,
  connectionStore,
  schedule,
  now = Date.now,
}: ChatOptions): Lift<State> {
  const app = new Lift<State>({ connectionStore, schedule, now });
  return app.use(webSocketAuth({ validateToken: identify(verify), now }));
}

/** Creates the handler of a function for `$connect` alone. A refused connection has no socket and no row. */
export function createConnectHandler({
  verify,
  connectionStore,
  schedule,
  now = Date.now,
}: ChatOptions): WebSocketHandler {
  const auth = connectAuth({ validateToken: identify(verify), now });
  return connectHandler({ connectionStore, schedule, now, middleware: [auth] });
}

function identify(verify: ChatOptions["verify"]) {
  return async (token: string) => {
    const { sub, tenant, expiresAt } = await verify(token);
    return { userId: sub, tenantId: tenant, expiresAt };
  };
}
