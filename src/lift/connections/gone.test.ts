import { beforeEach, describe, expect, it } from "vitest";
import type { BroadcastReport, Connections, PostOutcome } from "../../apigw/index.ts";
import type { ConnectionStore } from "../../store/index.ts";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { Lift, type LogFields, type Logger } from "../index.ts";
import {
  disconnectEvent,
  lambdaContext,
  messageEvent,
  type RecordingConnections,
  recordingConnections,
} from "../testing/index.ts";

const START = Date.UTC(2026, 0, 1);
const FIVE_MINUTES = 5 * 60_000;
const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

let now = START;
beforeEach(() => {
  now = START;
});

async function makeStore(): Promise<ConnectionStore> {
  const store = memoryConnectionStore({ now: () => now });
  const { domainName, stage } = messageEvent("send", {}).requestContext;
  const endpoint = `https://${domainName}/${stage}`;
  const row = { metadata: {}, state: {}, sourceIp: "192.0.2.1", endpoint };
  for (const id of ["x", "y"]) {
    await store.save({ id, ...row, connectedAt: START, expiresAt: START + 7_800_000 });
  }
  return store;
}

/** Creates an app whose routes send to x, which is gone, and broadcast to x, y and an id without a row. */
function makeApp(store: ConnectionStore, connections: Connections, logger = quiet) {
  const app = new Lift({ connections, connectionStore: store, logger, now: () => now });
  app.webSocket("broadcast", async (ctx) => {
    ctx.locals.found = await ctx
      .asWebSocket()
      .broadcastMessage(["x", "y", "nobody"], "hi", { results: true });
  });
  app.webSocket("send", async (ctx) => {
    ctx.locals.found = await ctx.asWebSocket().sendMessageTo("x", "hi");
  });
  let found: unknown;
  app.use(async (ctx, next) => {
    await next();
    found = ctx.locals.found;
  });
  const handler = app.webSocketHandler();
  return async (route: "send" | "broadcast") => {
    await handler(messageEvent(route, {}, { authorizer: { sub: "ada" } }), lambdaContext());
    return found;
  };
}

function gone(): RecordingConnections {
  return recordingConnections().gone("x", "nobody");
}

/** Counts the posts to x. From the second on, x is connected. */
class Connecting {
  tried = 0;
  readonly recorded = recordingConnections();

  readonly connections: Connections = {
    post: async (id) => {
      if (id !== "x") return "sent";
      this.tried++;
      return this.tried > 1 ? "sent" : "gone";
    },
    broadcast: async (): Promise<BroadcastReport> => {
      this.tried++;
      const results = [{ connectionId: "x", outcome: "gone" as const }];
      return { sent: 0, gone: 1, connecting: 0, failed: 0, results };
    },
    get: (id) => this.recorded.get(id),
    disconnect: (id) => this.recorded.disconnect(id),
  };
}

describe("a connection that a send finds gone", () => {
  it.each(["send", "broadcast"] as const)(
    "loses its row to a %s when it connected five minutes ago",
    async (route) => {
      const store = await makeStore();
      now += FIVE_MINUTES;
      await makeApp(store, gone())(route);
      expect(await store.get("x")).toBeUndefined();
      expect((await store.get("y"))?.id).toBe("y");
    },
  );

  it("keeps its row when it was sent to another API's endpoint with the same table", async () => {
    const store = await makeStore();
    const row = await store.get("x");
    await store.delete("x");
    const elsewhere = { ...row!, id: "z", endpoint: "https://other.example.com/prod" };
    await store.save(elsewhere);
    now += FIVE_MINUTES;
    const app = new Lift({
      connections: recordingConnections().gone("z"),
      connectionStore: store,
      logger: quiet,
      now: () => now,
    });
    app.webSocket("send", async (ctx) => void (await ctx.asWebSocket().sendMessageTo("z", "hi")));
    await app.webSocketHandler()(messageEvent("send", {}, { authorizer: { sub: "ada" } }), lambdaContext());
    expect((await store.get("z"))?.id).toBe("z");
  });

  it("is complete in a $disconnect that comes after the send", async () => {
    const store = await makeStore();
    await store.setState("x", { room: "r" });
    now += FIVE_MINUTES;
    await makeApp(store, gone())("send");
    const seen: unknown[] = [];
    const app = new Lift({ connectionStore: store, logger: quiet, now: () => now });
    app.webSocket("$disconnect", async (ctx) => void seen.push(await ctx.get("room")));
    const event = disconnectEvent({});
    const disconnect = { ...event, requestContext: { ...event.requestContext, connectionId: "x" } };
    await app.webSocketHandler()(disconnect, lambdaContext());
    expect(seen).toEqual(["r"]);
  });

  it("is connecting and keeps its row while the row is younger", async () => {
    const store = await makeStore();
    now += FIVE_MINUTES - 1;
    const run = makeApp(store, gone());
    expect(await run("send")).toBe("connecting" satisfies PostOutcome);
    expect(await run("broadcast")).toEqual({
      sent: 1,
      gone: 1,
      connecting: 1,
      failed: 0,
      results: [
        { connectionId: "x", outcome: "connecting" },
        { connectionId: "y", outcome: "sent" },
        { connectionId: "nobody", outcome: "gone" },
      ],
    });
    expect((await store.get("x"))?.id).toBe("x");
  });

  it("is retried once, because its $connect may have finished meanwhile", async () => {
    const store = await makeStore();
    const sent = new Connecting();
    expect(await makeApp(store, sent.connections)("send")).toBe("sent");
    expect(sent.tried).toBe(2);
    const broadcast = new Connecting();
    expect(await makeApp(store, broadcast.connections)("broadcast")).toEqual({
      sent: 1,
      gone: 0,
      connecting: 0,
      failed: 0,
      results: [{ connectionId: "x", outcome: "sent" }],
    });
    expect(broadcast.tried).toBe(2);
  });

  it("does not change the other outcome of an id that a broadcast names twice", async () => {
    const report: BroadcastReport = {
      sent: 1,
      gone: 1,
      connecting: 0,
      failed: 0,
      results: [
        { connectionId: "x", outcome: "sent" },
        { connectionId: "x", outcome: "gone" },
      ],
    };
    const connections = { ...new Connecting().connections, broadcast: async () => report };
    const store = await makeStore();
    now += FIVE_MINUTES;
    expect(await makeApp(store, connections)("broadcast")).toEqual(report);
  });

  it("is not looked for in a broadcast that reports no results", async () => {
    const counts = { sent: 3, gone: 0, connecting: 0, failed: 0 };
    const connections = { ...new Connecting().connections, broadcast: async () => counts };
    expect(await makeApp(await makeStore(), connections)("broadcast")).toEqual(counts);
  });

  it("is failed when the second attempt is throttled", async () => {
    const store = await makeStore();
    const { connections } = new Connecting();
    const throttled = recordingConnections().throttled("x");
    const post: Connections["post"] = (id, data) => throttled.post(id, data);
    const report = await makeApp(store, { ...connections, post })("broadcast");
    expect(report).toMatchObject({ gone: 0, failed: 1, results: [{ error: { code: "LIMIT_EXCEEDED" } }] });
  });

  it("is reported and logged when its row cannot be removed", async () => {
    const store = await makeStore();
    store.delete = () => Promise.reject(new Error("down"));
    const warned: unknown[] = [];
    const warn = (message: string, fields?: LogFields) => void warned.push([message, fields?.error]);
    now += FIVE_MINUTES;
    expect(await makeApp(store, gone(), { ...quiet, warn })("send")).toBe("gone");
    expect(warned).toEqual([["The row of a gone connection was not removed", new Error("down")]]);
  });
});
