import { jsonLogger } from "lift-ws";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { connectEvent, lambdaContext, messageEvent, recordingConnections } from "lift-ws/testing";
import { beforeEach, expect, it } from "vitest";
import { createLounge } from "./app.ts";

let send: (connectionId: string, action: string, payload: object) => Promise<unknown>;

beforeEach(async () => {
  const connections = recordingConnections();
  const lounge = createLounge({
    // A token here is `sub@tenant`.
    auth: {
      validateToken: async (token) => {
        const [userId, tenantId] = token.split("@") as [string, string];
        return { userId, tenantId };
      },
    },
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    schedule: memorySchedule(),
    logger: jsonLogger({ level: "silent" }),
  });
  const handle = lounge.app.webSocketHandler({ connections });
  for (const token of ["ada@math", "grace@math", "spy@physics"]) {
    const connectionId = token.split("@")[0]!;
    await handle(connectEvent({ connectionId, query: { token } }), lambdaContext());
  }
  let requests = 0;
  send = async (connectionId, action, payload) => {
    const id = `${++requests}`;
    const body = { id, action, payload };
    await handle(messageEvent("$default", body, { connectionId }), lambdaContext());
    const frames = connections.jsonSentTo(connectionId) as { request_id?: string }[];
    return frames.find((frame) => frame.request_id === id);
  };
});

it("lets members of a team talk in its rooms, unheard by others", async () => {
  const line = { channel: "room:lobby", data: { id: "1", text: "hello" } };
  expect(await send("ada", "publish", line)).toMatchObject({ success: true });
  const lobby = { channel: "room:lobby" };
  expect(await send("grace", "history", lobby)).toMatchObject({ data: { messages: [{ user: "ada" }] } });
  expect(await send("spy", "history", lobby)).toMatchObject({ data: { messages: [] } });
});

it("lets everybody watch a drawing, and only its owner draw", async () => {
  const ink = { channel: "ink:ada", data: { ink: [1, 2, 3, 1] } };
  expect(await send("grace", "publish", ink)).toMatchObject({ error: { code: "FORBIDDEN" } });
  expect(await send("ada", "publish", ink)).toMatchObject({ success: true });
  const channels = [{ channel: "ink:ada", recent: 100 }];
  expect(await send("grace", "subscribe", { channels })).toMatchObject({
    data: { channels: [{ messages: [{ data: ink.data }] }] },
  });
});

it("has one stage per room, for one user at a time", async () => {
  const stage = { channel: "stage:lobby" };
  expect(await send("ada", "stream_start", stage)).toMatchObject({ data: { live: { user: "ada" } } });
  expect(await send("grace", "stream_start", stage)).toMatchObject({ error: { code: "FORBIDDEN" } });
  await send("ada", "stream_end", stage);
  expect(await send("grace", "stream_start", stage)).toMatchObject({ data: { live: { user: "grace" } } });
  expect(await send("spy", "stream", stage)).toMatchObject({ success: true, data: {} });
});
