// Tests requests of the client with the real Streamer over real sockets. Other tests use the model server instead.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { createClient, type Json, requests } from "../../src/client/index.ts";
import { createGateway } from "../../src/gateway/index.ts";
import { jsonLogger } from "../../src/lift/index.ts";
import { webSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import { fileBlobStore } from "../../src/store/files/index.ts";
import type { ChannelStore } from "../../src/store/index.ts";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "../../src/store/memory/index.ts";
import { sqliteChannelStore } from "../../src/store/sqlite/index.ts";
import { createStreamer } from "../../src/streamer/index.ts";

/** Over a megabyte of JSON, with characters of several bytes. */
const HUGE = "\u{1F600}é".repeat(200_000);

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "lift-requests-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function createBlobs() {
  const blobs = fileBlobStore({ folder: createFolder() });
  onTestFinished(() => blobs.close());
  return blobs;
}

async function startServer(store: ChannelStore = memoryChannelStore()) {
  const connectionStore = memoryConnectionStore();
  /** Lets the handler of `count` write its second half. */
  const half = Promise.withResolvers<void>();
  const streamer = createStreamer({
    channels: { room: { subscribe: () => true } },
    store,
    blobs: createBlobs(),
    connectionStore,
    schedule: memorySchedule(),
    auth: webSocketAuth({ validateToken: (token) => ({ userId: token, tenantId: "acme" }) }),
    logger: jsonLogger({ level: "error" }),
  })
    .request("add", { input: z.object({ a: z.number(), b: z.number() }) }, ({ a, b }) => ({ sum: a + b }))
    .request("count", { estimatedMs: 60_000 }, async (_, { output, progress, signal }) => {
      await output.write("one two ");
      progress(50, "Half", { next: "three" });
      const { promise: aborted, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve());
      await Promise.race([half.promise, aborted]);
      signal.throwIfAborted();
      await output.write("three ");
      await output.write({ four: 4 });
      return { text: "x".repeat(150_000) };
    })
    .request("large", { estimatedMs: 60_000, output: z.array(z.string()) }, () => [HUGE]);
  const app = streamer.app.webSocket(
    "pay",
    { input: z.object({ cents: z.number() }), output: z.object({ paid: z.number(), by: z.string() }) },
    (ctx) => ({ paid: ctx.input.cents, by: ctx.userId ?? "" }),
  );
  const gateway = createGateway({ handler: (event, context) => handler(event, context) });
  const handler = app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));
  return {
    half,
    /** Ends the connections of a user. */
    cut: async (user: string) => {
      for await (const { id } of connectionStore.listByUser(user)) await gateway.disconnect(id);
    },
    person: (token: string) => {
      const client = createClient<typeof streamer & typeof app>({
        url: gateway.url,
        token,
        reconnectBaseMs: 10,
        use: [requests()],
      });
      onTestFinished(() => client.disconnect());
      client.connect();
      return client;
    },
  };
}

it("are answered in place, or refused with the places of the input's issues", async () => {
  const { person } = await startServer();
  const client = person("ann");
  expect(await client.request("add", { a: 1, b: 2 })).toEqual({ sum: 3 });
  await expect(client.request("add", { a: 1, b: "2" as never })).rejects.toMatchObject({
    code: "VALIDATION_ERROR",
  });
});

it("reach a route of the application that answers", async () => {
  const { person } = await startServer();
  const client = person("ann");
  expect(await client.request("pay", { cents: 5 })).toEqual({ paid: 5, by: "ann" });
  await expect(client.request("pay", { cents: "5" as never })).rejects.toMatchObject({
    code: "VALIDATION_ERROR",
  });
});

it("survive a lost connection: progress, the whole output, and a result larger than a frame", async () => {
  const { person, cut, half } = await startServer();
  const client = person("ann");
  const job = client.request("count", null);
  const chunks: Json[] = [];
  const read = (async () => {
    for await (const chunk of job.output) chunks.push(chunk);
  })();
  for await (const { percentage, message, details } of job.progress) {
    expect([percentage, message, details]).toEqual([50, "Half", { next: "three" }]);
    break;
  }
  await expect.poll(() => chunks.join("")).toBe("one two ");
  await cut("ann");
  half.resolve();
  expect(await job).toEqual({ text: "x".repeat(150_000) });
  await read;
  expect(chunks.slice(0, -1).join("")).toBe("one two three ");
  expect(chunks.at(-1)).toEqual({ four: 4 });
});

it.each([
  ["memory", () => memoryChannelStore()],
  [
    "SQLite",
    () => {
      const store = sqliteChannelStore({ path: join(createFolder(), "channels.db") });
      onTestFinished(() => store.close());
      return store;
    },
  ],
])("resolve with a result over 300 KB, with the requests in %s", async (_, createStore) => {
  const { person } = await startServer(createStore());
  const job = person("ann").request("large", null);
  expect(await job).toEqual([HUGE]);
  expect(await person("ann").attach(job.id)).toEqual([HUGE]);
});

it("are shown to another device of their user, which cancels them, and to nobody else", async () => {
  const { person } = await startServer();
  const [laptop, phone, stranger] = [person("ann"), person("ann"), person("bob")];
  const job = laptop.request("count", null);
  const ended = expect(job).rejects.toMatchObject({ code: "CANCELLED" });
  for await (const _ of job.progress) break;
  const { requests: own } = await phone.requests();
  expect(own).toMatchObject([{ id: job.id, action: "count", state: "PROCESSING" }]);
  const attached = phone.attach(job.id);
  const reader = attached.output[Symbol.asyncIterator]();
  expect(await reader.next()).toMatchObject({ value: "one two " });
  await expect(stranger.attach(job.id)).rejects.toMatchObject({
    code: expect.stringMatching(/NOT_FOUND|FORBIDDEN/),
  });
  await attached.cancel();
  await ended;
  await expect(reader.next()).rejects.toMatchObject({ code: "CANCELLED" });
});

it("are read whole after their end", async () => {
  const { person, half } = await startServer();
  const client = person("ann");
  half.resolve();
  const job = client.request("count", null, { id: "report-0123456789" });
  const { id } = job;
  expect(await job).toHaveProperty("text");
  const late = client.attach(id);
  const chunks: Json[] = [];
  for await (const chunk of late.output) chunks.push(chunk);
  expect(await late).toEqual(await job);
  expect(chunks).toEqual(["one two three ", { four: 4 }]);
  await expect(client.request("count", [], { id })).rejects.toMatchObject({ code: "CONFLICT" });
});
