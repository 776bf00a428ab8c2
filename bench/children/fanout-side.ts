/** One way to send to many from a function: which one says the first argument. */
import { awsConnections, Lift } from "lift-ws";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { lambdaContext, messageEvent } from "lift-ws/testing";
import { answer } from "../lib/control.ts";
import { type FanoutResult, recipients } from "../lib/recipients.ts";

export type Send = (ids: readonly string[], data: string) => Promise<void>;

const [, , side = "lean", port = ""] = process.argv;
const CONCURRENCY = 256;
const endpoint = `http://127.0.0.1:${port}/prod`;
const keys = { accessKeyId: "AKIDBENCH", secretAccessKey: "wJalrXUtnFEMI/K7MDENG" };
const target = { endpoint, region: "us-east-1", credentials: keys };
const store = memoryConnectionStore();
const event = messageEvent("fan", {}, { authorizer: { sub: "bench" } });
/** As a `$connect` of the same API has saved it: of another's, no row is removed. */
const savedEndpoint = `https://${event.requestContext.domainName}/${event.requestContext.stage}`;
const text = "x".repeat(100);

/** A function whose handler broadcasts, as an application's does. */
function lift(transport: object): Send {
  const connections = awsConnections({ ...target, concurrency: CONCURRENCY, ...transport });
  const app = new Lift({ connections, connectionStore: store });
  let recipients: readonly string[] = [];
  app.webSocket("fan", async (ctx) => {
    await ctx.asWebSocket().broadcastMessage(recipients, text);
  });
  const handler = app.webSocketHandler();
  return async (ids) => {
    recipients = ids;
    await handler(event, lambdaContext());
  };
}

// Loaded by those that use it alone: the SDK is no part of what the others weigh.
const byHand = async () =>
  (await import("./fanout-by-hand.ts")).byHand({ target, store, workers: CONCURRENCY });

const SIDES: { readonly [side: string]: () => Promise<Send> } = {
  lean: async () => lift({}),
  sdk: async () => lift({ transport: (await import("lift-ws/aws-sdk")).sdkTransport() }),
  bare: async () => (await byHand()).workers,
  all: async () => (await byHand()).all,
  loop: async () => (await byHand()).loop,
};

const send = await SIDES[side]!();

answer("send", async ({ round, count }: { round: number; count: number }): Promise<FanoutResult> => {
  const { ids, gone } = recipients(round, count);
  const connectedAt = Date.now() - 3_600_000;
  const expiresAt = Date.now() + 3_600_000;
  const row = {
    metadata: {},
    state: {},
    sourceIp: "192.0.2.1",
    endpoint: savedEndpoint,
    connectedAt,
    expiresAt,
  };
  for (const id of gone) await store.save({ id, ...row });
  const started = performance.now();
  await send(ids, text);
  const ms = performance.now() - started;
  const left = await Promise.all(gone.map((id) => store.get(id)));
  return { ms, rowsLeft: left.filter((found) => found !== undefined).length };
});

/** Bytes that this process has had at its most. */
answer("peak", () => process.resourceUsage().maxRSS * 1024);

console.log("ready 0");
