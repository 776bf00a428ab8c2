/** The Lift side: an app with managed connections on the gateway, which is its @connections port. */
import { Lift } from "lift-ws";
import { createGateway } from "lift-ws/gateway";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { UNLIMITED } from "../lib/unlimited.ts";

const app = new Lift({ connectionStore: memoryConnectionStore() });

app.webSocket("$connect", (ctx) => {
  const tenant = ctx.query("tenant");
  if (tenant !== undefined) ctx.setTenantId(tenant);
});

app.webSocket("echo", async (ctx) => {
  await ctx.reply({ action: "echo", text: ctx.body("text") });
});

app.webSocket("broadcast", async (ctx) => {
  const message = JSON.stringify({ action: "broadcast", text: ctx.body("text") });
  const ids: string[] = [];
  for await (const { id } of ctx.connectionStore.listByTenant(ctx.tenantId ?? "")) ids.push(id);
  await ctx.asWebSocket().broadcastMessage(ids, message);
});

const gateway = createGateway({
  handler: (event, context) => handler(event, context),
  limits: UNLIMITED,
});
const handler = app.webSocketHandler({ connections: gateway });

await gateway.listen({ port: 0 });
console.log(`ready ${gateway.port}`);
