import { Lift } from "lift-ws";
import { type WebSocketAuthOptions, webSocketAuth } from "lift-ws/middleware/auth";
import type { ConnectionStore } from "lift-ws/store";
import * as z from "zod/mini";

export interface EnhancedOptions {
  readonly auth: WebSocketAuthOptions;
  readonly connectionStore: ConnectionStore;
}

const Message = z.object({ data: z.string() });

/** Routes for WebSocket events, with middleware for the token. Connections are stored and removed by Lift. */
export function createEnhanced({ auth, connectionStore }: EnhancedOptions): Lift {
  return new Lift({ connectionStore })
    .use(webSocketAuth(auth))
    .webSocket("message", { schema: Message }, (ctx) =>
      ctx.reply({ from: ctx.userId, received: ctx.input.data }),
    );
}
