import { type WebSocketAuthOptions, webSocketAuth } from "lift-ws/middleware/auth";
import type { ConnectionStore, Schedule } from "lift-ws/store";
import { createStreamer, type Rule, type StreamerOptions } from "lift-ws/streamer";

export interface LoungeOptions extends Pick<StreamerOptions, "logger" | "middleware" | "store"> {
  /** Whose tokens are good: each names a user and a tenant. */
  readonly auth: WebSocketAuthOptions;
  readonly connectionStore: ConnectionStore;
  /** What ends a connection when its token does, and a stream when its owner has left. */
  readonly schedule: Schedule;
}

const HOUR_MS = 3_600_000;

const signedIn: Rule = ({ userId }) => userId !== undefined;

/** Ink has the name of who draws. */
const itsOwner: Rule = ({ userId }, { name }) => userId === name;

/** Rooms that everyone of a team may talk in, each with a stage: one draws there, live, and whoever looks on follows. */
export function createLounge({ auth, ...rest }: LoungeOptions) {
  return createStreamer({
    ...rest,
    auth: webSocketAuth(auth),
    channels: {
      room: {
        subscribe: signedIn,
        publish: signedIn,
        presence: true,
        history: { size: 1_000, ageMs: 30 * 24 * HOUR_MS },
        maxBytes: 4_096,
      },
      // Who is live in a room, and for how many.
      stage: {
        subscribe: signedIn,
        publish: signedIn,
        // Long enough to load the page again, short enough to see it end.
        live: { graceMs: 10_000 },
      },
      // What they draw.
      ink: {
        subscribe: signedIn,
        publish: itsOwner,
        // A picture is its last 100 strokes: what a viewer who comes late asks for.
        history: { size: 100, ageMs: HOUR_MS },
        maxBytes: 4_096,
      },
    },
  });
}
