import { type ConnectionIdentity, Lift, type LiftOptions } from "lift-ws";

export interface AppState {
  room: string;
  added: number;
}

/** Tenant of all connections, so that one list shows the remaining ones. */
export const TENANT = "tenant-1";

/** Creates an application with one route for each access to a connection's row. */
export function createApp(options: LiftOptions<AppState>): Lift<AppState> {
  const app = new Lift<AppState>(options);
  app.webSocket("$connect", (ctx) => void ctx.setUserId(ctx.query("user") ?? "ada").setTenantId(TENANT));
  app.webSocket("who", async (ctx) => {
    const identity: ConnectionIdentity = { userId: ctx.userId, tenantId: ctx.tenantId };
    await ctx.reply(identity);
  });
  app.webSocket("move", async (ctx) => {
    ctx.set("room", String(ctx.body("room")));
    await ctx.reply("moving");
  });
  app.webSocket("add", async (ctx) => {
    await ctx.reply({ added: (await ctx.update("added", (added) => (added ?? 0) + 1)) ?? null });
  });
  app.webSocket("$disconnect", () => {});
  return app;
}
