import { Lift } from "lift-ws";
import { webSocketAuth } from "lift-ws/middleware/auth";
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
 * Creates an app that users can connect to, without the chat's routes. The functions for `$connect` and for the clock need no
 * more, so they start without the schemas of messages.
 */
export function createConnect({
  verify,
  connectionStore,
  schedule,
  now = Date.now,
}: ChatOptions): Lift<State> {
  const app = new Lift<State>({ connectionStore, schedule, now });

  // A refused connection has no socket and no row. When its token expires, a connection gets an error and is closed.
  const validateToken = async (token: string) => {
    const { sub, tenant, expiresAt } = await verify(token);
    return { userId: sub, tenantId: tenant, expiresAt };
  };
  return app.use(webSocketAuth({ validateToken, now }));
}
