/** One way to fan out from a function. The first argument selects it. */
import { awsConnections, Lift } from "lift-ws";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { lambdaContext, messageEvent } from "lift-ws/testing";
import { answer } from "../lib/control.ts";
import { type FanoutResult, recipients } from "../lib/recipients.ts";

export type Send = (ids: readonly string[], data: string) => Promise<void>;

const [, , side = "noSdk", port = ""] = process.argv;
const CONCURRENCY = 256;
const endpoint = `http://127.0.0.1:${port}/prod`;
const keys = { accessKeyId: "AKIDBENCH", secretAccessKey: "wJalrXUtnFEMI/K7MDENG" };
const target = { endpoint, region: "us-east-1", credentials: keys };
const store = memoryConnectionStore();
const event = messageEvent("fan", {}, { authorizer: { sub: "bench" } });
/** Endpoint as `$connect` of the same API saves it: rows of other APIs are never removed. */
const savedEndpoint = `https://${event.requestContext.domainName}/${event.requestContext.stage}`;
const text = "x".repeat(100);

/** A function whose handler broadcasts, as in an application. */
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

// Loaded only by the sides that use it, so that the SDK does not add to the memory of the others.
const byHand = async () =>
  (await import("./fanout-by-hand.ts")).byHand({ target, store, workers: CONCURRENCY });

const SIDES: { readonly [side: string]: () => Promise<Send> } = {
  noSdk: async () => lift({}),
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

/** Peak memory of this process, in bytes. */
answer("peak", () => process.resourceUsage().maxRSS * 1024);

console.log("ready 0");
