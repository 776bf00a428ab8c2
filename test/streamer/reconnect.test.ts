// Channels over real sockets: disconnected subscribers and restarted processes lose no message.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { createGateway, type Gateway } from "../../src/gateway/index.ts";
import { jsonLogger } from "../../src/lift/index.ts";
import { webSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import type { Position } from "../../src/protocol/index.ts";
import { memoryConnectionStore } from "../../src/store/memory/index.ts";
import { sqliteChannelStore } from "../../src/store/sqlite/index.ts";
import { createStreamer } from "../../src/streamer/index.ts";
import { connect } from "../conformance/harness.ts";

const ROOM = "room:lobby";

/** Simulates a process: histories are in a file, all other state ends with it. */
async function startProcess(path: string) {
  const store = sqliteChannelStore({ path });
  const streamer = createStreamer({
    channels: { room: { presence: true, subscribe: () => true, publish: () => true } },
    store,
    connectionStore: memoryConnectionStore(),
    auth: webSocketAuth({ validateToken: (token) => ({ userId: token, tenantId: "acme" }) }),
    logger: jsonLogger({ level: "error" }),
  });
  const gateway: Gateway = createGateway({
    handler: (event, context) => handler(event, context),
  });
  const handler = streamer.app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  await streamer.resume();
  const stop = async () => {
    await gateway.close({ drainMs: 1, spreadMs: 1 });
    store.close();
  };
  onTestFinished(stop);
  return { gateway, streamer, stop };
}

/** A client that reads its messages in order and sends one request at a time. */
async function connectAs(gateway: Gateway, name: string) {
  const client = await connect(gateway, { path: `?token=${name}` });
  const next = async (isIt: (message: Message) => boolean): Promise<Message> => {
    for (;;) {
      const message = JSON.parse(await client.messages.next());
      if (isIt(message)) return message;
    }
  };
  return {
    next: (type: string) => next((message) => message.type === type),
    ask: async (action: string, payload: object) => {
      client.send({ id: action, action, payload });
      return (await next(({ request_id }) => request_id === action)).data;
    },
    cut: () => client.socket.terminate(),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: what the test looks at in a message, it says
type Message = any;

function databasePath(): string {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-streamer-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "channels.db");
}

const texts = ({ messages }: { messages: { data: string }[] }) => messages.map(({ data }) => data);
const subscribe = async (who: Awaited<ReturnType<typeof connectAs>>, position?: Position) => {
  const { channels } = await who.ask("subscribe", { channels: [{ channel: ROOM, position }] });
  return channels[0];
};

it("delivers missed messages to a disconnected subscriber, and then new ones", async () => {
  const { gateway, streamer } = await startProcess(databasePath());
  const [ada, bob] = await Promise.all([connectAs(gateway, "ada"), connectAs(gateway, "bob")]);
  await subscribe(ada);
  await subscribe(bob);
  await ada.ask("publish", { channel: ROOM, data: "1" });
  const { data, user, position } = await bob.next("message");
  expect([data, user, position.offset]).toEqual(["1", "ada", 1]);

  bob.cut();
  while ((await ada.next("presence")).event !== "leave");
  for (const text of ["2", "3"]) await ada.ask("publish", { channel: ROOM, data: text });

  const again = await connectAs(gateway, "bob");
  const answer = await subscribe(again, position);
  expect([answer.recovered, texts(answer)]).toEqual([true, ["2", "3"]]);
  await streamer.publish(ROOM, "4", { tenantId: "acme" });
  expect((await again.next("message")).position).toEqual({ ...position, offset: 4 });
});

it("continues its histories after a restart", async () => {
  const path = databasePath();
  const first = await startProcess(path);
  const ada = await connectAs(first.gateway, "ada");
  const { position } = await subscribe(ada);
  for (const text of ["1", "2"]) await ada.ask("publish", { channel: ROOM, data: text, key: text });
  await first.stop();

  const second = await startProcess(path);
  const again = await connectAs(second.gateway, "ada");
  const answer = await subscribe(again, position);
  expect([answer.recovered, texts(answer)]).toEqual([true, ["1", "2"]]);
  const repeated = await again.ask("publish", { channel: ROOM, data: "2", key: "2" });
  expect(repeated.position).toEqual(answer.position);
  expect((await again.ask("publish", { channel: ROOM, data: "3" })).position.offset).toBe(3);
  expect((await again.next("message")).data).toBe("3");
});
