// Checks documents of `lift-ws asyncapi` with the official parser and against frames of a running application.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { type AsyncApiDocument, asyncApiDocument } from "../../src/cli/asyncapi/document.ts";
import { webSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import { type Action, parseRequest } from "../../src/protocol/index.ts";
import type { BlobStore } from "../../src/store/index.ts";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "../../src/store/memory/index.ts";
import { createStreamer, type NamespaceOptions, type Rule } from "../../src/streamer/index.ts";
import { asyncApiParser } from "../../tools/asyncapi/install.mjs";
import { Queue } from "../conformance/queue.ts";
import { parseServerMessage } from "../streamer/server-message.ts";
import { simulateStreamer } from "../streamer/simulation.ts";
import { codeBlocks } from "../support/markdown.ts";
import { Example } from "./example.ts";
import { listPaths, replaceAt, VALUES } from "./json-mutations.ts";
import { Project } from "./project.ts";

const ROOT = join(import.meta.dirname, "../..");
const ABOUT = { title: "Chat", version: "1.0.0", url: new URL("wss://chat.example.com/prod") };
const blobs: BlobStore = {
  createUpload: async (key) => ({
    url: `https://example.com/${key}`,
    headers: { "content-type": "image/png" },
  }),
  createDownloadUrl: async (key) => `https://example.com/${key}`,
};
const everyone: Rule = () => true;

let parser: Awaited<ReturnType<typeof asyncApiParser>>;

beforeAll(async () => {
  parser = await asyncApiParser();
});

let project: Project | undefined;

afterEach(async () => {
  await project?.remove();
  project = undefined;
});

function documentOf(channels: { [name: string]: NamespaceOptions }): AsyncApiDocument {
  const streamer = createStreamer({
    channels,
    auth: webSocketAuth({ validateToken: async () => ({ userId: "ada" }) }),
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    schedule: memorySchedule(),
    blobs,
  });
  streamer.request("generate_report", { estimatedMs: 60_000 }, () => "done");
  return asyncApiDocument(streamer.describe(), ABOUT).document;
}

const EVERYTHING = {
  subscribe: everyone,
  publish: everyone,
  presence: true,
  live: true,
  maxBlobBytes: 1_000,
};

/** A Streamer with all features of a document. */
function everyKind(): AsyncApiDocument {
  const Comment = z.object({
    text: z.string(),
    get replies() {
      return z.array(Comment);
    },
  });
  return documentOf({
    room: { ...EVERYTHING, schema: Comment, stateSchema: z.object({ root: Comment }).meta({ id: "Thread" }) },
    cursor: { ...EVERYTHING, delivery: "at-most-once", schema: z.string().transform(Number) },
    stream: EVERYTHING,
    user: {},
    log: {},
  });
}

describe("the official parser", () => {
  it("accepts a document with every feature", async () => {
    expect(await parser.errorsIn(everyKind())).toEqual([]);
  });

  it("accepts a document in which clients may do nothing", async () => {
    expect(await parser.errorsIn(documentOf({ room: {} }))).toEqual([]);
  });

  it("rejects a broken document", async () => {
    const { channels, operations, components, ...rest } = everyKind();
    const { Position: _, ...schemas } = components.schemas;
    const broken = {
      ...rest,
      channels,
      operations: { ...operations, "room.publish": { ...operations["room.publish"], action: "publish" } },
      components: { ...components, schemas },
    };
    const errors = await parser.errorsIn(broken);
    expect(errors).toContainEqual(expect.stringMatching(/^operations\/room\.publish\/action: /));
    expect(errors).toContainEqual(expect.stringContaining("'#/components/schemas/Position' does not exist"));
  });
});

describe("lift-ws asyncapi", () => {
  it("creates the document of examples/streamer, which the official parser accepts", async () => {
    project = await Project.create({});
    const tables = {
      CONNECTIONS_TABLE: "c",
      SCHEDULE_TABLE: "s",
      MESSAGES_TABLE: "m",
      MEMBERS_TABLE: "p",
      REQUESTS_TABLE: "r",
    };
    const lounge = join(ROOT, "examples/streamer/lambda/lounge.ts");
    const lift = project.run(["asyncapi", lounge], tables);
    expect(await lift.exited).toBe(0);
    const document = JSON.parse(lift.output);
    expect(Object.keys(document.channels)).toEqual(expect.arrayContaining(["webSocket", "room"]));
    expect(document.info.title).toBe("lift-ws");
    expect(await parser.errorsIn(document)).toEqual([]);
  });

  it("creates the document of a TypeScript module, as in docs/how-to/asyncapi.md", async () => {
    const blocks = codeBlocks(readFileSync(join(ROOT, "docs/how-to/asyncapi.md"), "utf8"));
    const code = (info: string) => blocks.find((block) => block.info === info)?.code ?? "";
    project = await Project.create({
      "chat.mts": code("ts run"),
      "package.json": JSON.stringify({ name: "chat", version: "2.0.0", description: "We talk." }),
    });
    await project.install("zod");
    const argv = ["chat.mts", "--url", "wss://chat.example.com/prod", "--out", "asyncapi.json"];
    const lift = project.run(["asyncapi", ...argv]);
    expect({ code: await lift.exited, output: lift.output }).toEqual({ code: 0, output: "" });
    const document = JSON.parse(await readFile(join(project.directory, "asyncapi.json"), "utf8"));
    expect(document).toMatchObject(JSON.parse(code("json")));
    expect(document.info).toMatchObject({ title: "chat", version: "2.0.0" });
    expect(document.info.description).toMatch(/^We talk\.\n\nClients speak/);
    expect(await parser.errorsIn(document)).toEqual([]);
  });

  it("keeps a module's output out of the document, and reports unknown parts", async () => {
    project = await Project.create({
      "app.mjs": `import { createStreamer } from "lift-ws/streamer";
        import { memoryChannelStore } from "lift-ws/store/memory";
        console.log("loaded", process.env.NAME);
        const schema = { "~standard": { version: 1, vendor: "acme", validate: (value) => ({ value }) } };
        export const chat = createStreamer({ channels: { room: { schema } }, store: memoryChannelStore() });
        setInterval(() => {}, 1000);`,
      ".env": "NAME=ada\n",
    });
    const lift = project.run(["asyncapi", "app.mjs", "--env-file", ".env", "--out", "x.json"]);
    expect(await lift.exited).toBe(0);
    expect(lift.output.split("\n")).toEqual([
      "loaded ada",
      "lift-ws: room.published is any JSON: acme has no JSON Schema",
      "lift-ws: room.data is any JSON: acme has no JSON Schema",
      "",
    ]);
  });

  it.each([
    [
      ["app.mjs"],
      2,
      /^lift-ws: app\.mjs exports no Streamer; it exports one: export the result of createStreamer\n$/,
    ],
    [["broken.mjs"], 1, /^lift-ws: broken\.mjs cannot be loaded:\n.*no such luck/s],
    [["chat.mjs", "--out", "no/where.json"], 1, /^lift-ws: Can't write \S+\/no\/where\.json \(ENOENT\)\n$/],
  ])("%j exits with %i and a reason", async (argv, code, reason) => {
    project = await Project.create({
      "app.mjs": "export const one = 1;",
      "broken.mjs": 'throw new Error("no such luck");',
      "chat.mjs": `import { createStreamer } from "lift-ws/streamer";
        import { memoryChannelStore } from "lift-ws/store/memory";
        export default createStreamer({ channels: { room: {} }, store: memoryChannelStore() });`,
    });
    const lift = project.run(["asyncapi", ...argv]);
    expect(await lift.exited).toBe(code);
    expect(lift.output).toMatch(reason);
  });
});

/** Pointers to the schemas of a document's messages, by purpose. */
function pointers(document: AsyncApiDocument, kind: (key: string) => boolean): string[] {
  const channels = Object.entries(document.channels) as [string, { messages: object }][];
  return channels.flatMap(([channel, { messages }]) =>
    Object.keys(messages)
      .filter(kind)
      .map((key) => `#/channels/${channel}/messages/${key}/payload`),
  );
}

const isRequest = (key: string) => !key.includes(".") && key !== "error";

describe("the schemas of requests", () => {
  const document = documentOf({ room: EVERYTHING, stream: EVERYTHING });
  const requests = pointers(document, isRequest);
  const examples = examplesIn("## Client to server");

  it("accept the examples of PROTOCOL.md", () => {
    const takes = parser.checkerOf(document);
    expect(examples.length).toBeGreaterThan(10);
    for (const example of examples) expect([example, takes(requests, example)]).toEqual([example, true]);
  });

  it("accept exactly the messages that the parser accepts, for every change of an example", () => {
    const takes = parser.checkerOf(document);
    const counts = { true: 0, false: 0 };
    const others: unknown[] = [];
    for (const example of examples) {
      for (const path of listPaths(example)) {
        for (const value of VALUES) {
          const changed = replaceAt(example, path, value);
          const isRead = isDone(() => parseRequest(JSON.stringify(changed)));
          if (takes(requests, changed) !== isRead) others.push([changed, isRead]);
          counts[`${isRead}`]++;
        }
      }
    }
    // The parser treats it as missing, which a document need not describe.
    const withoutPayload = (action: string) => [expect.objectContaining({ action, payload: null }), true];
    expect(others).toEqual(["heartbeat", "requests"].map(withoutPayload));
    expect(Math.min(counts.true, counts.false)).toBeGreaterThan(1_000);
  });
});

it("the schemas of server messages accept the examples of PROTOCOL.md, and miss a field only if the parser does", () => {
  const document = documentOf({ room: EVERYTHING, stream: EVERYTHING });
  const sent = pointers(document, (key) => !isRequest(key));
  const takes = parser.checkerOf(document);
  const examples = examplesIn("## Server to client");
  const counts = { true: 0, false: 0 };
  for (const example of examples) {
    expect([example, takes(sent, example)]).toEqual([example, true]);
    for (const path of listPaths(example)) {
      const changed = replaceAt(example, path, undefined);
      const isRead = isDone(() => parseServerMessage(JSON.stringify(changed)) ?? fail());
      expect([changed, takes(sent, changed)]).toEqual([changed, isRead]);
      counts[`${isRead}`]++;
    }
  }
  expect(Math.min(counts.true, counts.false)).toBeGreaterThan(10);
});

it("every frame of an application matches its document, and every kind of frame occurs", async () => {
  const auth = webSocketAuth({ validateToken: (token) => ({ userId: token, tenantId: "acme" }) });
  const line = z.object({ text: z.string().min(1), mentions: z.array(z.string()).default([]) });
  const channels = { room: { ...EVERYTHING, schema: line, stateSchema: z.boolean() }, stream: EVERYTHING };
  const simulation = simulateStreamer({ channels, middleware: [], auth, blobs, schedule: memorySchedule() });
  const { document } = asyncApiDocument(simulation.streamer.describe(), ABOUT);
  const takes = parser.checkerOf(document);
  const seen = new Set<string>();
  const client = async (name: string) => {
    const { send } = await simulation.client(name, { token: name });
    return async (action: Action, rest: object) => {
      const request = { id: `${name}-${action}`, action, ...rest };
      const frames = await send(request);
      expect([request, takes(pointers(document, isRequest), request)]).toEqual([request, true]);
      expect(frames).toContainEqual(expect.objectContaining({ request_id: request.id }));
      for (const frame of frames) {
        const key = frame.request_id === request.id ? `${action}.response` : `${frame.type}.event`;
        const its = pointers(document, (one) => one === key);
        expect([key, frame, takes(its, frame)]).toEqual([key, frame, true]);
        seen.add(key);
      }
    };
  };
  const ada = await client("ada");
  const room = { channel: "room:a" };
  await ada("publish", { payload: { ...room, data: { text: "hi" }, key: "k" } });
  await ada("subscribe", { payload: { channels: [{ ...room, recent: 5, state: true }] } });
  await ada("publish", { payload: { ...room, data: { text: "hi", mentions: ["bob"] } } });
  await ada("set_presence", { payload: { ...room, state: false } });
  await ada("presence", { payload: room });
  await ada("history", { payload: { ...room, before: 2 } });
  await ada("stream_start", { payload: { ...room, data: { title: "Bread" } } });
  await ada("stream", { payload: room });
  simulation.advance(2_000);
  const bob = await client("bob");
  await bob("subscribe", { payload: { channels: [{ ...room, recent: 5 }] } });
  await ada("stream_end", { payload: room });
  await ada("heartbeat", { payload: { positions: { "room:a": { epoch: "other", offset: 1 } } } });
  await ada("heartbeat", {});
  await ada("upload", { payload: { ...room, bytes: 10 } });
  await ada("download", { payload: { ...room, blob: "2b6f0cc9-04d7-4b9e-9c2f-6f6d1a5f2f0e" } });
  await ada("refresh", { payload: { token: "ada" } });
  await ada("message", { type: "stream", data: { channel: "stream:a" } });
  await ada("message", { type: "presence", data: { channel: "room:a", state: true } });
  await ada("unsubscribe", { payload: { channels: ["room:a"] } });
  // The close frame is not a request.
  const expected = pointers(document, (key) => key.includes(".") && key !== "error.event");
  expect(seen).toEqual(new Set(expected.map((pointer) => pointer.split("/")[4])));
});

it("the example of docs/how-to/asyncapi.md runs, and refuses the same messages as its document", async () => {
  const example = await Example.start("docs/how-to/asyncapi.md");
  onTestFinished(() => example.end());
  const socket = await example.connect("ann");
  const messages = new Queue<string>();
  socket.addEventListener("message", ({ data }) => messages.push(data));
  const publish = (text: string) => {
    const payload = { channel: "room:lobby", data: { text } };
    socket.send(JSON.stringify({ id: text, action: "publish", payload }));
  };
  publish("");
  expect(JSON.parse(await messages.next())).toMatchObject({ error: { code: "VALIDATION_ERROR" } });
  publish("hi");
  expect(JSON.parse(await messages.next())).toMatchObject({ type: "response", request_id: "hi" });
  socket.close();
});

function examplesIn(heading: string): { readonly type?: string }[] {
  const [, rest = ""] = readFileSync(join(ROOT, "PROTOCOL.md"), "utf8").split(`\n${heading}\n`);
  const chapter = rest.split(/\n## /)[0] ?? "";
  return [...chapter.matchAll(/^Example: `(.+)`$/gm)].map(([, example = ""]) => JSON.parse(example));
}

function isDone(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}

function fail(): never {
  throw new Error("Its type is not known");
}
