import { describe, expect, it } from "vitest";
import { z } from "zod";
import { webSocketAuth } from "../../lift/middleware/auth/index.ts";
import { ACTIONS } from "../../protocol/index.ts";
import type { BlobStore } from "../../store/index.ts";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "../../store/memory/index.ts";
import {
  createStreamer,
  type NamespaceOptions,
  type Rule,
  type StreamerOptions,
} from "../../streamer/index.ts";
import { asyncApiDocument } from "./document.ts";

const everyone: Rule = () => true;
const OPEN = { subscribe: everyone, publish: everyone };
const EVERYTHING = { ...OPEN, presence: true, live: true, maxBlobBytes: 1_000 };
/** Never called. */
const blobs: BlobStore = { createUpload: fail, createDownloadUrl: fail };

function documented(channels: StreamerOptions["channels"], options: Partial<StreamerOptions> = {}) {
  const streamer = createStreamer({
    channels,
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    schedule: memorySchedule(),
    blobs,
    ...options,
  });
  const url = new URL("wss://chat.example.com/prod");
  streamer
    .request("report", { estimatedMs: 60_000, input: z.object({ year: z.int() }) }, () => 1)
    .request("double", { output: z.number() }, () => 2);
  return asyncApiDocument(streamer.describe(), { title: "Chat", version: "1.2.3", url });
}

function fail(): never {
  throw new Error("It was asked");
}

const auth = webSocketAuth({ validateToken: async () => ({ userId: "ada" }) });

describe("a document", () => {
  const { document, missing } = documented({ room: EVERYTHING, cursor: {} }, { auth });
  const operations = Object.keys(document.operations);

  it("has exactly the actions of the protocol", () => {
    const received = Object.values(document.operations).filter(
      (operation) => (operation as { action: string }).action === "receive",
    );
    const actions = received.map(({ messages }: { messages?: { $ref: string }[] }) =>
      messages?.[0]?.$ref.split("/").at(-1),
    );
    expect(actions.toSorted()).toEqual([...ACTIONS, "double", "report"].sort());
  });

  it("has the application's own actions with their schemas, and what follows a long one", () => {
    const { messages } = document.channels.applicationActions as {
      messages: Record<string, { payload: object }>;
    };
    expect(messages.report?.payload).toMatchObject({
      properties: { action: { const: "report" }, payload: { $ref: "#/components/schemas/report.input" } },
      required: ["action"],
    });
    expect(messages["double.response"]?.payload).toMatchObject({
      properties: { data: { $ref: "#/components/schemas/double.result" } },
    });
    expect(Object.keys(messages)).toEqual(
      expect.arrayContaining([
        "report.response",
        "report.progress.event",
        "report.complete.event",
        "report.failed.event",
      ]),
    );
    expect(Object.keys(messages)).not.toContain("double.complete.event");
  });

  it("has a channel for the connection and one per namespace, all at one address", () => {
    expect(document.channels).toEqual({
      webSocket: expect.objectContaining({ address: "/" }),
      room: expect.objectContaining({ address: "/", title: "room:{name}" }),
      cursor: expect.objectContaining({ address: "/", title: "cursor:{name}" }),
      applicationActions: expect.objectContaining({ address: "/" }),
    });
  });

  it("leaves out actions that a namespace refuses to everyone", () => {
    expect(operations.filter((name) => name.startsWith("cursor."))).toEqual([]);
    expect(document.channels.cursor).toMatchObject({
      description: "No client may subscribe or publish.",
      messages: {},
    });
  });

  it("has the server's address and security schemes", () => {
    expect(document.servers).toEqual({
      server: {
        host: "chat.example.com",
        pathname: "/prod",
        protocol: "wss",
        security: [
          { $ref: "#/components/securitySchemes/query" },
          { $ref: "#/components/securitySchemes/header" },
        ],
      },
    });
  });

  it("reports nothing missing without validators", () => {
    expect(missing).toEqual([]);
  });
});

it("has no security schemes without auth", () => {
  const { document } = documented({ room: EVERYTHING });
  expect(document.operations).not.toHaveProperty(["webSocket.refresh"]);
  expect(document.servers).toEqual({ server: expect.not.objectContaining({ security: expect.anything() }) });
});

it.each<[what: string, options: NamespaceOptions, possible: string[], name?: string]>([
  ["subscribe", { subscribe: everyone }, ["history", "events"]],
  ["publish", { publish: everyone }, ["publish"]],
  ["only the user itself", {}, ["history", "events"], "user"],
  ["at-most-once", { ...OPEN, delivery: "at-most-once" }, ["publish", "events"]],
  ["blobs", { ...OPEN, maxBlobBytes: 1 }, ["publish", "history", "upload", "download", "events"]],
  ["presence", { ...OPEN, presence: true }, ["publish", "history", "presence", "set_presence", "events"]],
  ["live", { ...OPEN, live: true }, ["publish", "history", "stream_start", "stream_end", "stream", "events"]],
] as const)(
  "has the possible operations of a namespace with %s",
  (_what, options, possible, name = "room") => {
    const { document } = documented({ [name]: options });
    const its = Object.keys(document.operations).filter((key) => key.startsWith(`${name}.`));
    expect(its).toEqual(possible.map((operation) => `${name}.${operation}`));
  },
);

it("has no `subscribe` if no namespace allows it", () => {
  const { operations } = documented({ room: { publish: everyone } }).document;
  expect(Object.keys(operations)).not.toContain("webSocket.subscribe");
});

it("has the input and output schemas of a namespace, and reports missing ones", () => {
  const { document, missing } = documented({
    room: {
      ...OPEN,
      presence: true,
      schema: z.object({ at: z.string().transform((text) => new Date(text)) }),
      stateSchema: z.object({ typing: z.boolean().default(false) }),
    },
  });
  const { schemas } = document.components;
  expect(schemas["room.published"]).toMatchObject({ properties: { at: { type: "string" } } });
  expect(schemas["room.data"]).toHaveProperty("x-no-json-schema");
  expect(schemas["room.shown"]).not.toHaveProperty("required");
  expect(schemas["room.state"]).toMatchObject({ required: ["typing"] });
  expect(missing).toEqual([
    "room.data is any JSON: zod has no JSON Schema: Transforms cannot be represented in JSON Schema",
  ]);
});
