// The server that is checked, in a process of its own: a Streamer on the gateway, with faults put in. Its parent
// says what goes wrong, and kills it.
import { setTimeout as sleep } from "node:timers/promises";
import type { WebSocketEvent } from "../../src/apigw/index.ts";
import { createGateway } from "../../src/gateway/index.ts";
import { type AnyContext, jsonLogger } from "../../src/lift/index.ts";
import type { ChannelStore, TableStreamHistory } from "../../src/store/index.ts";
import { memoryConnectionStore } from "../../src/store/memory/index.ts";
import { createStreamer, type Streamer, type TableStreamEvent } from "../../src/streamer/index.ts";
import type { FromServer, ServerConfig, ServerPublication, ToServer } from "./control.ts";
import { FastClock } from "./fast-clock.ts";
import { Mischief } from "./fault-injector.ts";
import { FaultyConnections } from "./faulty-connections.ts";
import { faultyStore, hurried, invocations } from "./faulty-store.ts";
import { namespacesWith } from "./namespaces.ts";
import { Random } from "./random.ts";
import { over, plantedStore } from "./seeded-bugs.ts";
import { openStore } from "./stores.ts";

const GOING_AWAY = 1001;
const TICK_MS = 1_000;
const LATE_MS = [5, 150] as const;
/** What looks after connections waits as long as the service's idle limit is. */
const SWEEP = "streamer:sweep";
const IDLE_MS = 600_000;
const FUNCTION_MS = 30_000;

const config: ServerConfig = JSON.parse(process.argv[2] ?? "");
const tell = (message: FromServer) => void process.send?.(message);
const mischief = new Mischief(new Random(config.seed), (fault) => tell({ type: "fault", fault }));
const clock = new FastClock(config.speed);
const everyone = () => true;
const { pace } = config;
const { store, schedule } = openStore(config.backing, mischief);
const planted = plantedStore(withLeftTold(store), config.plant);

const streamer = createStreamer({
  channels: Object.fromEntries(
    Object.entries(namespacesWith(pace.graceMs)).map(([name, { size, ageMs, presence, graceMs }]) => [
      name,
      {
        history: { size, ageMs },
        presence,
        live: graceMs === undefined ? false : { graceMs },
        subscribe: everyone,
        publish: everyone,
        maxBytes: 98_304,
      },
    ]),
  ),
  store: faultyStore(planted, mischief),
  schedule: hurried(schedule, SWEEP, IDLE_MS / (pace.limits.idleMs / pace.speed)),
  connectionStore: memoryConnectionStore(),
  // Time is short here, so the waits between attempts are too.
  scheduleRetry: { firstMs: 500, longestMs: 2_000 },
  logger: jsonLogger({ level: "warn" }),
  middleware: [identifyByQuery],
});

const gateway = createGateway({
  handler: (event: WebSocketEvent, context) =>
    new Promise((resolve, reject) => {
      tellOfLimits(event);
      const crash = () => reject(new Error("The handler has crashed"));
      const invoke = () => answer(event, context).then(resolve, reject);
      invocations.run({ crash }, async () => {
        if (mayBeLate(event)) await sleep(mischief.random.between(...LATE_MS));
        void invoke();
      });
    }),
  clock,
  limits: pace.limits,
});
const connections = new FaultyConnections(gateway, mischief);
const answer = streamer.app.webSocketHandler({ connections });
const fanOut = isStreamed(store.history) ? streamer.fanOutHandler() : undefined;

process.on("message", (message: ToServer) => {
  if (message.type === "chances") mischief.chances = message.chances;
  else if (message.type === "die") mischief.deadly = message.when;
  else if (message.type === "speed") clock.speed = message.speed;
  else if (message.type === "fan out") void finishLeft(message.call, message.event);
  else if (message.type === "who streams") void tellWhoStreams(message.tenant, message.channel);
  else void publish(streamer, message.publication);
});
// Without its parent there is nobody to end it.
process.on("disconnect", () => process.exit());

tell({ type: "finished", count: await streamer.resume() });
await gateway.listen({ port: 0 });
tell({ type: "listening", port: gateway.port });
setInterval(() => void tick(), TICK_MS);

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
  const isOld = clock.now() - connectedAt >= pace.limits.lifetimeMs;
  tell({ type: "fault", fault: isOld ? "lifetime limit" : "idle limit" });
}

/** Whatever comes of a connection behind its $connect, the service hands over by itself, so in any order. */
function mayBeLate({ requestContext }: WebSocketEvent): boolean {
  return requestContext.eventType !== "CONNECT" && mischief.happens("invocationLate");
}

function isStreamed(history: ChannelStore["history"]): history is TableStreamHistory {
  return "getPendingFanOut" in history;
}

/** Tells of each message that the stream's function finds unfinished. */
function withLeftTold(store: ChannelStore): ChannelStore {
  const { history } = store;
  if (!isStreamed(history)) return store;
  const getPendingFanOut: TableStreamHistory["getPendingFanOut"] = async (...asked) => {
    const left = await history.getPendingFanOut(...asked);
    if (left !== undefined) tell({ type: "finished", count: 1 });
    return left;
  };
  return { ...store, history: over<TableStreamHistory>(history, { getPendingFanOut }) };
}

let isTicking = false;

/** One after the other: a slow store must not be asked more, the slower it is. */
async function tick(): Promise<void> {
  if (isTicking) return;
  isTicking = true;
  await streamer.app.tick({ connections }).catch(() => {});
  isTicking = false;
  tell({ type: "ticked" });
}

/** What the messages' stream calls: as a function of its own, but it dies with this process. */
async function finishLeft(call: number, event: TableStreamEvent): Promise<void> {
  const end = Date.now() + FUNCTION_MS;
  const budget = { getRemainingTimeInMillis: () => end - Date.now() };
  const report = await fanOut?.(event, budget).catch(() => undefined);
  tell({ type: "fanned out", call, report });
}

async function tellWhoStreams(tenant: string, channel: string): Promise<void> {
  const { user, since } = (await streamer.stream(channel, { tenantId: tenant })) ?? {};
  tell({ type: "streams", tenant, channel, user, since });
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
