import type { Logger } from "lift-ws";
import { type WebSocketAuthOptions, webSocketAuth } from "lift-ws/middleware/auth";
import type { ChannelStore, ConnectionStore, Schedule } from "lift-ws/store";
import { createStreamer, type Rule, type Streamer } from "lift-ws/streamer";

export interface LoungeOptions {
  /** Whose tokens are good. Their claims `sub` and `tenant_id` say the user and the team. */
  readonly auth: WebSocketAuthOptions;
  /** Where histories and members are kept. */
  readonly store: ChannelStore;
  readonly connectionStore: ConnectionStore;
  /** What ends a connection when its token does. */
  readonly schedule: Schedule;
  /** Default: JSON lines on the console. */
  readonly logger?: Logger;
}

const signedIn: Rule = ({ userId }) => userId !== undefined;

/** A stream has its owner's name. */
const itsOwner: Rule = ({ userId }, { name }) => userId === name;

/** Rooms that everyone of a team may talk in, and live streams that one talks in and everyone follows. */
export function createLounge({ auth, ...stores }: LoungeOptions): Streamer {
  return createStreamer({
    ...stores,
    auth: webSocketAuth(auth),
    channels: {
      room: {
        subscribe: signedIn,
        publish: signedIn,
        presence: true,
        history: { size: 200, ageMs: 60 * 60_000 },
        maxBytes: 4_096,
      },
      stream: { subscribe: signedIn, publish: itsOwner, presence: true },
    },
  });
}
