// The server that is checked, in a process of its own: a Streamer on the gateway, with faults put in. Its parent
// says what goes wrong, and kills it.
import type { WebSocketEvent } from "../../src/apigw/index.ts";
import { createGateway } from "../../src/gateway/index.ts";
import { type AnyContext, jsonLogger } from "../../src/lift/index.ts";
import { memoryConnectionStore } from "../../src/store/memory/index.ts";
import { createStreamer, type Streamer } from "../../src/streamer/index.ts";
import type { FromServer, ServerConfig, ServerPublication, ToServer } from "./control.ts";
import { FastClock } from "./fast-clock.ts";
import { FaultyConnections } from "./faulty-connections.ts";
import { faultyStore, invocations } from "./faulty-store.ts";
import { Mischief } from "./mischief.ts";
import { NAMESPACES } from "./namespaces.ts";
import { plantedStore } from "./plants.ts";
import { Random } from "./random.ts";
import { openStore } from "./stores.ts";

const GOING_AWAY = 1001;

const config: ServerConfig = JSON.parse(process.argv[2] ?? "");
const tell = (message: FromServer) => void process.send?.(message);
const mischief = new Mischief(new Random(config.seed), (fault) => tell({ type: "fault", fault }));
const clock = new FastClock(config.speed);
const everyone = () => true;

const streamer = createStreamer({
  channels: Object.fromEntries(
    Object.entries(NAMESPACES).map(([name, { size, ageMs, presence }]) => [
      name,
      { history: { size, ageMs }, presence, subscribe: everyone, publish: everyone },
    ]),
  ),
  store: faultyStore(plantedStore(openStore(config.backing), config.plant), mischief),
  connectionStore: memoryConnectionStore(),
  logger: jsonLogger({ level: "warn" }),
  middleware: [identifyByQuery],
});

const gateway = createGateway({
  handler: (event: WebSocketEvent, context) =>
    new Promise((resolve, reject) => {
      tellOfLimits(event);
      const crash = () => reject(new Error("The handler has crashed"));
      invocations.run({ crash }, () => answer(event, context).then(resolve, reject));
    }),
  clock,
  limits: config.limits,
});
const answer = streamer.app.webSocketHandler({ connections: new FaultyConnections(gateway, mischief) });

process.on("message", (message: ToServer) => {
  if (message.type === "chances") mischief.chances = message.chances;
  else if (message.type === "die") mischief.deadly = message.when;
  else if (message.type === "speed") clock.speed = message.speed;
  else void publish(streamer, message.publication);
});
// Without its parent there is nobody to end it.
process.on("disconnect", () => process.exit());

await streamer.resume();
await gateway.listen({ port: 0 });
tell({ type: "listening", port: gateway.port });

async function identifyByQuery(ctx: AnyContext, next: () => Promise<void>): Promise<void> {
  const [user, tenant] = [ctx.query("user"), ctx.query("tenant")];
  if (user !== undefined) ctx.setUserId(user);
  if (tenant !== undefined) ctx.setTenantId(tenant);
  await next();
}

function tellOfLimits({ requestContext }: WebSocketEvent): void {
  if (requestContext.eventType !== "DISCONNECT") return;
  const { disconnectStatusCode, connectedAt } = requestContext;
  if (disconnectStatusCode !== GOING_AWAY) return;
  const isOld = clock.now() - connectedAt >= config.limits.lifetimeMs;
  tell({ type: "fault", fault: isOld ? "lifetime limit" : "idle limit" });
}

async function publish(to: Streamer, { uid, tenant, channel, key }: ServerPublication): Promise<void> {
  try {
    const data = { uid, tenant, channel };
    const { position } = await to.publish(channel, data, { tenantId: tenant, key });
    tell({ type: "published", uid, position });
  } catch {
    tell({ type: "published", uid });
  }
}
