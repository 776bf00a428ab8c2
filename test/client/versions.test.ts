// Earlier versions' clients with the current server, and the current client with earlier servers; see test/fixtures/README.md.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { createGateway } from "../../src/gateway/index.ts";
import { type AnyContext, jsonLogger } from "../../src/lift/index.ts";
import * as current from "../fixtures/package.ts";
import { loadPackage, PACKAGES } from "../fixtures/versions.ts";

type Package = typeof current;

const folder = mkdtempSync(join(tmpdir(), "lift-ws-versions-"));
afterAll(() => rmSync(folder, { recursive: true }));

const open = { subscribe: () => true, publish: () => true };

async function startServer(server: Package) {
  const runs: (() => void)[] = [];
  const connectionStore = server.memoryConnectionStore();
  const streamer = server
    .createStreamer({
      channels: {
        room: { ...open, presence: true, maxBytes: 98_304 },
        flash: { ...open, delivery: "at-most-once" },
      },
      schedule: server.memorySchedule(),
      store: server.memoryChannelStore(),
      connectionStore,
      middleware: [
        async (ctx: AnyContext, next) => {
          const user = ctx.query("token");
          if (user !== undefined) ctx.setUserId(user).setTenantId("acme");
          await next();
        },
      ],
      requests: { gatherMs: 0 },
      logger: jsonLogger({ level: "error" }),
    })
    .request("add", {}, (input) => (input as number[]).reduce((sum, n) => sum + n))
    .request("report", { estimatedMs: 60_000 }, async (_input, { output, progress }) => {
      await output.write("one ");
      progress(50, "Half");
      await new Promise<void>((resolve) => runs.push(resolve));
      await output.write("two");
      return { rows: 512 };
    });
  const gateway = createGateway({ handler: (event, context) => handler(event, context) });
  const handler = streamer.app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));
  const cut = async (user: string) => {
    const ids: string[] = [];
    for await (const { id } of connectionStore.listByUser(user)) ids.push(id);
    expect(ids).toHaveLength(1);
    await gateway.disconnect(ids[0]!);
  };
  const finish = async () => (await vi.waitUntil(() => runs.shift()))();
  return { url: gateway.url, cut, finish };
}

const pairs = PACKAGES.flatMap(
  (version) =>
    [
      [`the client of ${version}`, version, "the current server", undefined],
      ["the current client", undefined, `the server of ${version}`, version],
    ] as const,
);

describe.each(pairs)("%s", (_client, clientVersion, what, serverVersion) => {
  const load = (version: string | undefined) =>
    version === undefined ? current : loadPackage(version, folder);

  it(`talks to ${what}`, async () => {
    const [client, server] = [await load(clientVersion), await load(serverVersion)];
    const { url, cut, finish } = await startServer(server);
    const connect = (user: string) => {
      const connection = client.createClient({
        url,
        getToken: () => user,
        reconnectBaseMs: 10,
        use: [client.requests(), client.presence(), client.streams()],
      });
      onTestFinished(() => connection.disconnect());
      connection.connect();
      return connection;
    };
    const [ada, bob] = [connect("ada"), connect("bob")];
    const received: unknown[] = [];
    const subscription = bob.subscribe("room:lobby", {
      onMessage: ({ data }) => received.push(data),
      onLost: () => received.push("lost"),
    });
    await subscription.ready;

    const large = "x".repeat(40_000);
    await ada.publish("room:lobby", "hello");
    await ada.publish("room:lobby", large);
    await vi.waitFor(() => expect(received).toEqual(["hello", large]));
    const { users } = await bob.presence("room:lobby");
    expect(users.map(({ user }) => user)).toEqual(["bob"]);
    expect(await ada.request("add", [1, 2])).toBe(3);
    await expect(ada.publish("none:x", 1)).rejects.toMatchObject({ code: "NOT_FOUND" });

    const job = ada.request("report", null);
    const chunks: unknown[] = [];
    const read = (async () => {
      for await (const chunk of job.output) chunks.push(chunk);
    })();
    await vi.waitFor(() => expect(chunks).toEqual(["one "]));
    await Promise.all([cut("ada"), cut("bob")]);
    await ada.publish("room:lobby", "after the reconnect");
    await finish();
    expect(await job).toEqual({ rows: 512 });
    await read;
    expect(chunks.join("")).toBe("one two");
    await vi.waitFor(() => expect(received.slice(2)).toEqual(["after the reconnect"]));
  });
});
