/** A gateway with an old and a new side, in a process of its own. Its rows are written to two stores. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { answer } from "../../bench/lib/control.ts";
import type { WebSocketEvent } from "../../src/apigw/index.ts";
import { createGateway } from "../../src/gateway/index.ts";
import { Lift } from "../../src/lift/index.ts";
import { createFlag, dualWriteStore, fileFlag, memorySides, split } from "../../src/rollout/index.ts";
import { memoryConnectionStore } from "../../src/store/memory/index.ts";

export type Fault = "none" | "errors" | "latency" | "connections";

export interface Comparison {
  readonly rows: number;
  /** Rows that differ, or that only one of the stores has. */
  readonly different: number;
}

const FAULT_RATE = 0.1;
/** Both sides take as long as a call to a database: otherwise microseconds of their code would be a large share. */
const WORK_MS = 20;
const LATE_MS = 30;
const ROW_MS = 3_600_000;

const [, , flagFolder = ""] = process.argv;
let fault: Fault = "none";
/** Connection attempts that the fault refused. */
let refused = 0;

const oldStore = memoryConnectionStore();
const newStore = memoryConnectionStore();
const store = dualWriteStore(oldStore, newStore);
const sides = memorySides();
const gateway = createGateway({ handler: (event, context) => handler(event, context) });

/** The old side: written by hand, without Lift. */
async function oldHandler(event: WebSocketEvent) {
  const { requestContext } = event;
  const { connectionId: id, eventType, identity, domainName, stage } = requestContext;
  const now = Date.now();
  if (eventType === "CONNECT") {
    const times = { connectedAt: now, expiresAt: now + ROW_MS };
    const endpoint = `https://${domainName}/${stage}`;
    await store.save({ id, metadata: {}, state: {}, sourceIp: identity.sourceIp, endpoint, ...times });
  } else if (eventType === "DISCONNECT") {
    await store.delete(id);
  } else {
    const { number } = JSON.parse("body" in event ? (event.body ?? "{}") : "{}");
    await sleep(WORK_MS);
    await store.setState(id, { number });
    await gateway.post(id, JSON.stringify({ number, side: "old" }));
  }
  return { statusCode: 200 };
}

/** The new side. */
const app = new Lift({ connectionStore: store });
app.webSocket("$connect", () => {
  if (fault === "connections" && Math.random() < FAULT_RATE) {
    refused++;
    throw new Error("The rehearsal refuses this connection");
  }
});
app.webSocket("$default", async (context) => {
  if (fault === "errors" && Math.random() < FAULT_RATE) throw new Error("The rehearsal fails this event");
  await sleep(fault === "latency" ? WORK_MS + LATE_MS : WORK_MS);
  const number = Number(context.body("number"));
  await context.set("number", number);
  await context.reply({ number, side: "new" });
});

const flag = createFlag({ source: fileFlag(flagFolder) });
const handler = split(oldHandler, app.webSocketHandler({ connections: gateway }), flag, { recorder: sides });

answer("fault", (value: Fault) => {
  fault = value;
});
answer("refused", () => refused);
/** Reads and writes go to the new store first, or to the old one again. */
answer("swap", () => store.swapRoles());
/** Compares all rows of both stores. */
answer("compare", async (): Promise<Comparison> => {
  await store.settled();
  const { checked, repaired, remaining } = await store.reconcile();
  return { rows: checked, different: repaired + remaining };
});

/** The rollout runs in another process, so it reads the counts over HTTP. */
const counts = createServer(async ({ url = "" }, response) => {
  const query = new URL(url, "http://local").searchParams;
  try {
    const { signal } = new AbortController();
    const window = await sides.read(Number(query.get("from")), Number(query.get("to")), signal);
    response.end(JSON.stringify(window));
  } catch (error) {
    // A second without events has no counts.
    response.writeHead(404).end((error as Error).message);
  }
});
answer("counts", () => (counts.address() as AddressInfo).port);

await new Promise<void>((resolve) => counts.listen(0, "127.0.0.1", resolve));
await gateway.listen({ port: 0 });
console.log(`ready ${gateway.port}`);
