import { jsonLogger } from "lift-ws";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { connectEvent, lambdaContext, messageEvent, recordingConnections } from "lift-ws/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { createLounge } from "./app.ts";

type Handler = ReturnType<ReturnType<typeof createLounge>["app"]["webSocketHandler"]>;

let handler: Handler;
let connections: ReturnType<typeof recordingConnections>;

beforeEach(() => {
  connections = recordingConnections();
  const lounge = createLounge({
    // A token that is a name and a team.
    auth: {
      validateToken: async (token) => {
        const [userId = "", tenantId = ""] = token.split("@");
        return { userId, tenantId };
      },
    },
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    schedule: memorySchedule(),
    logger: jsonLogger({ level: "silent" }),
  });
  handler = lounge.app.webSocketHandler({ connections });
});

const connect = (token: string) =>
  handler(connectEvent({ connectionId: token, query: { token } }), lambdaContext());

async function ask(who: string, action: string, payload: object): Promise<unknown> {
  await handler(
    messageEvent("$default", { id: action, action, payload }, { connectionId: who }),
    lambdaContext(),
  );
  return connections
    .jsonSentTo(who)
    .find((frame) => (frame as { request_id?: string }).request_id === action);
}

const subscribe = (who: string, channel: string) => ask(who, "subscribe", { channels: [{ channel }] });
const publish = (who: string, channel: string, data: string) => ask(who, "publish", { channel, data });
const heardBy = (who: string) =>
  connections
    .jsonSentTo(who)
    .flatMap((frame) =>
      (frame as { type: string }).type === "message" ? [(frame as { data: unknown }).data] : [],
    );

const forbidden = { type: "error", error: { code: "FORBIDDEN" } };

describe("the lounge", () => {
  it("lets nobody in without a token", async () => {
    expect(await handler(connectEvent({ connectionId: "x" }), lambdaContext())).toMatchObject({
      statusCode: 401,
    });
  });

  it("lets everyone of a team talk in its rooms, and tells no other team", async () => {
    for (const who of ["ada@a", "bob@a", "eve@b"]) {
      await connect(who);
      await subscribe(who, "room:tea");
    }
    expect(await publish("bob@a", "room:tea", "hello")).toMatchObject({ success: true });
    expect(["ada@a", "bob@a", "eve@b"].map(heardBy)).toEqual([["hello"], ["hello"], []]);
  });

  it("lets everyone follow a stream, and only its owner talk in it", async () => {
    for (const who of ["ada@a", "bob@a"]) {
      await connect(who);
      await subscribe(who, "stream:ada");
    }
    expect(await publish("bob@a", "stream:ada", "mine")).toMatchObject(forbidden);
    expect(await publish("ada@a", "stream:ada", "live")).toMatchObject({ success: true });
    expect(heardBy("bob@a")).toEqual(["live"]);
  });
});
