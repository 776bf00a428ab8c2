// The server under test, in its own process: a Streamer on the gateway, with injected faults. The parent process sets
// the fault rates and kills this process.
import { setTimeout as sleep } from "node:timers/promises";
import type { WebSocketEvent } from "../../src/apigw/index.ts";
import { createGateway } from "../../src/gateway/index.ts";
import { type AnyContext, jsonLogger } from "../../src/lift/index.ts";
import { fileBlobStore } from "../../src/store/files/index.ts";
import type { ChannelStore, TableStreamHistory } from "../../src/store/index.ts";
import { memoryConnectionStore } from "../../src/store/memory/index.ts";
import {
  createStreamer,
  type Streamer,
  type StreamerOptions,
  type TableStreamEvent,
} from "../../src/streamer/index.ts";
import { FastClock } from "./fast-clock.ts";
import { FaultInjector } from "./fault-injector.ts";
import { FaultyConnections } from "./faulty-connections.ts";
import { faultyStore, invocations, withEarlierItems } from "./faulty-store.ts";
import { namespacesWith, openChannels } from "./namespaces.ts";
import type { FromServer, ServerConfig, ServerPublication, ToServer } from "./process-messages.ts";
import { Random } from "./random.ts";
import { recordRequests } from "./request-recorder.ts";
import { registerWork } from "./request-script.ts";
import { storeWithBug, withMethods } from "./seeded-bugs.ts";
import { openStore } from "./stores.ts";

const GOING_AWAY = 1001;
const TICK_MS = 1_000;
const LATE_MS = [5, 150] as const;
/** Kind of the scheduled item that removes stale connections. Its delay follows the service's idle limit. */
const STALE_CONNECTIONS = "streamer:sweep";
const IDLE_MS = 600_000;
const FUNCTION_MS = 30_000;
const WORKERS = 8;
const EARLY_WORKERS = 2;
const CLOCK_SKEW_MS = 60_000;
const GATHER_MS = 40;

const config: ServerConfig = JSON.parse(process.argv[2] ?? "");
const send = (message: FromServer) => void process.send?.(message);
const faults = new FaultInjector(new Random(config.seed), (fault) => send({ type: "fault", fault }));
const clock = new FastClock(config.speed);
const { profile } = config;
const { store, schedule } = openStore(config.storeConfig, faults);
const storeWithBugs = storeWithBug(reportingResumed(store), config.bug);
const connectionStore = memoryConnectionStore();
const options = {
  channels: openChannels(namespacesWith(profile.graceMs), { maxBytes: 98_304 }),
  store: faultyStore(recording(storeWithBugs), faults),
  schedule: withEarlierItems(schedule, STALE_CONNECTIONS, IDLE_MS / (profile.limits.idleMs / profile.speed)),
  connectionStore,
  blobs: fileBlobStore({ folder: config.blobFolder }),
  requests: { workers: WORKERS, leaseMs: profile.requests.leaseMs, gatherMs: GATHER_MS },
  // Runs are short, so the delays between attempts are short too.
  scheduleRetry: { firstMs: 500, longestMs: 2_000 },
  logger: jsonLogger({ level: "warn" }),
  middleware: [identifyByQuery],
} satisfies StreamerOptions;
const streamer = createStreamer(options);
registerWork(streamer);

const gateway = createGateway({
  handler: (event: WebSocketEvent, context) =>
    new Promise((resolve, reject) => {
      reportLimit(event);
      const crash = () => reject(new Error("Simulated crash of the handler"));
      const invoke = () => answer(event, context).then(resolve, reject);
      invocations.run({ crash }, async () => {
        if (isLate(event)) await sleep(faults.random.between(...LATE_MS));
        void invoke();
      });
    }),
  clock,
  limits: profile.limits,
});
const connections = new FaultyConnections(gateway, faults);
const answer = streamer.app.webSocketHandler({ connections });
const fanOut = isStreamed(store.history) ? streamer.fanOutHandler() : undefined;

process.on("message", (message: ToServer) => {
  if (message.type === "fault rates") faults.rates = message.rates;
  else if (message.type === "crash") faults.crash = message;
  else if (message.type === "start early worker") void startEarlyWorker();
  else if (message.type === "speed") clock.speed = message.speed;
  else if (message.type === "fan out") void runFanOut(message.call, message.event);
  else if (message.type === "get live stream") void sendLiveStream(message.tenant, message.channel);
  else void publish(streamer, message.publication);
});
// No other process would end this one.
process.on("disconnect", () => process.exit());

send({ type: "resumed", count: await streamer.resume() });
await gateway.listen({ port: 0 });
send({ type: "listening", port: gateway.port });
setInterval(() => void tick(), TICK_MS);

async function identifyByQuery(ctx: AnyContext, next: () => Promise<void>): Promise<void> {
  const [user, tenant] = [ctx.query("user"), ctx.query("tenant")];
  if (user !== undefined) ctx.setUserId(user);
  if (tenant !== undefined) ctx.setTenantId(tenant);
  await next();
}

function reportLimit({ requestContext }: WebSocketEvent): void {
  if (requestContext.eventType !== "DISCONNECT") return;
  const { disconnectStatusCode, connectedAt } = requestContext;
  if (disconnectStatusCode !== GOING_AWAY) return;
  const isOld = clock.now() - connectedAt >= profile.limits.lifetimeMs;
  send({ type: "fault", fault: isOld ? "lifetime limit" : "idle limit" });
}

/** After $connect, the service invokes the handler for each event independently, so in any order. */
function isLate({ requestContext }: WebSocketEvent): boolean {
  return requestContext.eventType !== "CONNECT" && faults.inject("invocationLate");
}

function isStreamed(history: ChannelStore["history"]): history is TableStreamHistory {
  return "getPendingFanOut" in history;
}

/** Reports each message that the fan-out function resumes. */
function reportingResumed(store: ChannelStore): ChannelStore {
  const { history } = store;
  if (!isStreamed(history)) return store;
  const getPendingFanOut: TableStreamHistory["getPendingFanOut"] = async (...asked) => {
    const pending = await history.getPendingFanOut(...asked);
    if (pending !== undefined) send({ type: "resumed", count: 1 });
    return pending;
  };
  return { ...store, history: withMethods<TableStreamHistory>(history, { getPendingFanOut }) };
}

let isTicking = false;

/** Ticks do not overlap: overlapping ticks would add load to a slow store. */
async function tick(): Promise<void> {
  if (isTicking) return;
  isTicking = true;
  await streamer.app.tick({ connections }).catch(() => {});
  isTicking = false;
  send({ type: "ticked" });
}

/** Takes over all requests that are open now, although the other workers' leases have not expired. */
async function startEarlyWorker(): Promise<void> {
  const early = createStreamer({
    ...options,
    requests: { ...options.requests, workers: EARLY_WORKERS },
    now: () => Date.now() + CLOCK_SKEW_MS,
  });
  registerWork(early);
  early.app.webSocketHandler({ connections });
  await early.resume({ storedBefore: 0 }).catch(() => {});
}

function recording(store: ChannelStore): ChannelStore {
  const requests = recordRequests(store.requests!, (fact) => send({ type: "stored", fact }));
  return { ...store, requests };
}

/** Runs the fan-out function that the table stream invokes. Unlike on AWS, it ends with this process. */
async function runFanOut(call: number, event: TableStreamEvent): Promise<void> {
  const end = Date.now() + FUNCTION_MS;
  const budget = { getRemainingTimeInMillis: () => end - Date.now() };
  const report = await fanOut?.(event, budget).catch(() => undefined);
  send({ type: "fanned out", call, report });
}

async function sendLiveStream(tenant: string, channel: string): Promise<void> {
  const { user, since } = (await streamer.stream(channel, { tenantId: tenant })) ?? {};
  send({ type: "live stream", tenant, channel, user, since });
}

async function publish(target: Streamer, { uid, tenant, channel, key }: ServerPublication): Promise<void> {
  try {
    const data = { uid, tenant, channel };
    const { position } = await target.publish(channel, data, { tenantId: tenant, key });
    send({ type: "published", uid, position });
  } catch {
    send({ type: "published", uid });
  }
}
