import { GoneException } from "@aws-sdk/client-apigatewaymanagementapi";
import { type AuthOptions, verifyToken } from "../by-hand/auth.ts";
import { answerMessage } from "../by-hand/messages.ts";
import type { Services } from "../by-hand/services.ts";
import { type OldContext, OldLift, type OldWebSocketContext } from "./app-handle.ts";

export interface OldAppOptions {
  readonly services: Services;
  readonly auth: AuthOptions;
  /** Endpoint of @connections. Default: the one of the event. */
  readonly endpoint?: string | undefined;
}

/** The connect, disconnect and router handlers. The framework has no processor, so that is the one by hand. */
export function createOldApp({ services, auth, endpoint }: OldAppOptions): OldLift {
  const { connections, log } = services;
  return new OldLift({ endpoint })
    .handle("CONNECT", "/connect", async (ctx) => {
      const ws = toWebSocket(ctx);
      if (ws === undefined) return;
      const token = ctx.query("Authorization")?.replace(/^Bearer /i, "") || ctx.query("token");
      const identity = token ? await verifyToken(token, auth) : undefined;
      if (identity === undefined) {
        log("warn", "A connection was refused", { connectionId: ws.connectionId });
        return ctx.status(401).json({ error: "Unauthorized" });
      }
      // The framework stores no connections.
      const { connectedAt } = ctx.event.requestContext;
      const row = { ...identity, id: ws.connectionId, endpoint: ws.endpoint, connectedAt, sourceIp: "" };
      try {
        await connections.save(row);
      } catch (error) {
        log("error", "A connection was not stored", { connectionId: ws.connectionId, error });
        return ctx.status(500).json({ error: "Internal server error" });
      }
      log("info", "Connected", { connectionId: ws.connectionId, userId: identity.userId });
      ctx.status(200).json({ status: "connected" });
    })
    .handle("MESSAGE", "/message", async (ctx) => {
      const ws = toWebSocket(ctx);
      if (ws === undefined) return;
      const { connectionId } = ws;
      const { requestId } = ctx.event.requestContext;
      const { frame, statusCode } = await answerMessage(
        { connectionId, requestId, body: ctx.body },
        services,
      );
      await send(ws, frame);
      ctx.status(statusCode);
    })
    .handle("DISCONNECT", "/disconnect", async (ctx) => {
      const ws = toWebSocket(ctx);
      if (ws === undefined) return;
      try {
        await connections.delete(ws.connectionId);
      } catch (error) {
        log("error", "A row was not deleted", { connectionId: ws.connectionId, error });
        return ctx.status(500).json({ error: "Internal server error" });
      }
      log("info", "Disconnected", { connectionId: ws.connectionId });
      ctx.status(200).json({ status: "disconnected" });
    });

  /** Sets the result to 500 when the event is none of a WebSocket API. */
  function toWebSocket(ctx: OldContext): OldWebSocketContext | undefined {
    try {
      return ctx.asWebSocket();
    } catch (error) {
      log("error", "Invalid WebSocket context", { error });
      ctx.status(500).json({ error: "Invalid WebSocket context" });
      return undefined;
    }
  }

  async function send(ws: OldWebSocketContext, frame: object): Promise<void> {
    const { connectionId } = ws;
    try {
      await ws.sendMessage(JSON.stringify(frame));
    } catch (error) {
      if (!(error instanceof GoneException))
        return log("error", "A frame was not sent", { connectionId, error });
      log("info", "A connection has gone", { connectionId });
      await connections.delete(connectionId).catch((cause: unknown) => {
        log("error", "A row was not deleted", { connectionId, error: cause });
      });
    }
  }
}
