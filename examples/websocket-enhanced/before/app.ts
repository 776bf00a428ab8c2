import type { AuthOptions } from "../../migration/by-hand/auth.ts";
import { verifyToken } from "../../migration/by-hand/auth.ts";
import type { ConnectionTable } from "../../migration/by-hand/connections.ts";
import { OldLift } from "../../migration/old-pattern/app-handle.ts";

export interface BeforeOptions {
  readonly auth: AuthOptions;
  readonly connections: Pick<ConnectionTable, "save" | "get" | "delete">;
  readonly endpoint?: string;
}

/** The old pattern: routes like HTTP, a conversion in each handler, and rows that the application stores itself. */
export function createBefore({ auth, connections, ...options }: BeforeOptions): OldLift {
  return new OldLift(options)
    .handle("CONNECT", "/connect", async (ctx) => {
      const ws = ctx.asWebSocket();
      const token = ctx.query("token");
      const identity = token === undefined ? undefined : await verifyToken(token, auth);
      if (identity === undefined) return ctx.status(401).json({ error: "Unauthorized" });
      const { connectedAt } = ctx.event.requestContext;
      const { connectionId: id, endpoint } = ws;
      await connections.save({ ...identity, id, endpoint, connectedAt, sourceIp: "" });
      ctx.status(200).json({ status: "connected" });
    })
    .handle("MESSAGE", "/message", async (ctx) => {
      const ws = ctx.asWebSocket();
      const row = await connections.get(ws.connectionId);
      if (row === undefined) return ctx.status(401).json({ error: "Unauthorized" });
      const message = parse(ctx.body);
      if (typeof message?.data !== "string") return ctx.status(400).json({ error: "Invalid message format" });
      await ws.sendMessage(JSON.stringify({ from: row.userId, received: message.data }));
    })
    .handle("DISCONNECT", "/disconnect", async (ctx) => {
      await connections.delete(ctx.asWebSocket().connectionId);
    });
}

function parse(body: string): { readonly data?: unknown } | undefined {
  try {
    return JSON.parse(body) as { readonly data?: unknown };
  } catch {
    return undefined;
  }
}
