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
import { asyncApiDocument } from "./index.ts";

const everyone: Rule = () => true;
const OPEN = { subscribe: everyone, publish: everyone };
const EVERYTHING = { ...OPEN, presence: true, live: true, maxBlobBytes: 1_000 };
/** Nobody asks it. */
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
  return asyncApiDocument(streamer.describe(), { title: "Chat", version: "1.2.3", url });
}

function fail(): never {
  throw new Error("It was asked");
}

const auth = webSocketAuth({ validateToken: async () => ({ userId: "ada" }) });

describe("a document", () => {
  const { document, missing } = documented({ room: EVERYTHING, cursor: {} }, { auth });
  const operations = Object.keys(document.operations);

  it("has every action of the protocol, and no other", () => {
    const received = Object.values(document.operations).filter(
      (operation) => (operation as { action: string }).action === "receive",
    );
    const actions = received.map(({ messages }: { messages?: { $ref: string }[] }) =>
      messages?.[0]?.$ref.split("/").at(-1),
    );
    expect(actions.toSorted()).toEqual([...ACTIONS].sort());
  });

  it("has a channel for the connection, and one for each namespace, at one address", () => {
    expect(document.channels).toEqual({
      webSocket: expect.objectContaining({ address: "/" }),
      room: expect.objectContaining({ address: "/", title: "room:{name}" }),
      cursor: expect.objectContaining({ address: "/", title: "cursor:{name}" }),
    });
  });

  it("leaves out what is refused to everybody", () => {
    expect(operations.filter((name) => name.startsWith("cursor."))).toEqual([]);
    expect(document.channels.cursor).toMatchObject({
      description: "No client may subscribe or publish.",
      messages: {},
    });
  });

  it("says where the server is, and which tokens it takes", () => {
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

  it("misses nothing where there is nothing to know", () => {
    expect(missing).toEqual([]);
  });
});

it("has no tokens where there is no auth", () => {
  const { document } = documented({ room: EVERYTHING });
  expect(document.operations).not.toHaveProperty(["webSocket.refresh"]);
  expect(document.servers).toEqual({ server: expect.not.objectContaining({ security: expect.anything() }) });
});

it.each<[what: string, options: NamespaceOptions, possible: string[], name?: string]>([
  ["subscribe", { subscribe: everyone }, ["history", "events"]],
  ["publish", { publish: everyone }, ["publish"]],
  ["nobody but the user themself", {}, ["history", "events"], "user"],
  ["at-most-once", { ...OPEN, delivery: "at-most-once" }, ["publish", "events"]],
  ["blobs", { ...OPEN, maxBlobBytes: 1 }, ["publish", "history", "upload", "download", "events"]],
  ["presence", { ...OPEN, presence: true }, ["publish", "history", "presence", "set_presence", "events"]],
  ["live", { ...OPEN, live: true }, ["publish", "history", "stream_start", "stream_end", "stream", "events"]],
] as const)(
  "has of a namespace with %s what is possible there",
  (_what, options, possible, name = "room") => {
    const { document } = documented({ [name]: options });
    const its = Object.keys(document.operations).filter((key) => key.startsWith(`${name}.`));
    expect(its).toEqual(possible.map((operation) => `${name}.${operation}`));
  },
);

it("has no subscribe where nobody may", () => {
  const { operations } = documented({ room: { publish: everyone } }).document;
  expect(Object.keys(operations)).not.toContain("webSocket.subscribe");
});

it("has what a namespace takes, and what it makes of it, and tells what it does not know", () => {
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
    "room.data is any JSON: zod gives no JSON Schema: Transforms cannot be represented in JSON Schema",
  ]);
});
