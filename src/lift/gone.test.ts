import { beforeEach, describe, expect, it } from "vitest";
import type { ConnectionStore } from "../store/index.ts";
import { memoryConnectionStore } from "../store/memory/index.ts";
import { Lift, type Logger } from "./index.ts";
import { lambdaContext, messageEvent, recordingConnections } from "./testing.ts";

const START = Date.UTC(2026, 0, 1);
const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

let now = START;
beforeEach(() => {
  now = START;
});

async function makeStore(): Promise<ConnectionStore> {
  const store = memoryConnectionStore({ now: () => now });
  const row = { metadata: {}, state: {}, sourceIp: "192.0.2.1", endpoint: "https://api.example.com/test" };
  for (const id of ["x", "y"]) {
    await store.save({ id, ...row, connectedAt: START, expiresAt: START + 7_800_000 });
  }
  return store;
}

/** An app whose route `a` broadcasts to x and y and sends to x, where x is gone. */
function makeApp(store: ConnectionStore, logger = quiet) {
  const connections = recordingConnections().gone("x");
  const app = new Lift({ connections, connectionStore: store, logger, now: () => now });
  app.webSocket("broadcast", async (ctx) => {
    await ctx.asWebSocket().broadcastMessage(["x", "y"], "hi");
  });
  app.webSocket("send", async (ctx) => {
    ctx.locals.outcome = await ctx.asWebSocket().sendMessageTo("x", "hi");
    expect(ctx.locals.outcome).toBe("gone");
  });
  const handler = app.webSocketHandler();
  return (route: string) => handler(messageEvent(route, {}, { authorizer: { sub: "ada" } }), lambdaContext());
}

describe("a connection that a send finds gone", () => {
  it("keeps its row at first: its $disconnect may be about to read it, or its $connect has not ended", async () => {
    const store = await makeStore();
    const run = makeApp(store);
    await run("send");
    now += 59_999;
    await run("send");
    expect((await store.get("x"))?.id).toBe("x");
  });

  it.each(["send", "broadcast"])(
    "loses its row when a %s finds it gone a minute later still",
    async (route) => {
      const store = await makeStore();
      const run = makeApp(store);
      await run("broadcast");
      now += 60_000;
      await run(route);
      expect(await store.get("x")).toBeUndefined();
      expect((await store.get("y"))?.id).toBe("y");
    },
  );

  it("is reported all the same when its row can't be removed, and the log is told", async () => {
    const store = await makeStore();
    store.delete = () => Promise.reject(new Error("down"));
    const warned: string[] = [];
    const run = makeApp(store, { ...quiet, warn: (message) => void warned.push(message) });
    await run("send");
    now += 60_000;
    await run("send");
    expect(warned).toEqual(["The rows of gone connections were not removed"]);
  });
});
