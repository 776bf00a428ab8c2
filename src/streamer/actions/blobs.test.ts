import { describe, expect, it } from "vitest";
import { OPEN, START, simulateStreamer } from "../../../test/streamer/simulation.ts";
import type { BlobStore } from "../../store/index.ts";
import { createStreamer, type StreamerOptions } from "../index.ts";

const ROOM = "room:lobby";
const GOOD_FOR_MS = 15 * 60_000;

function blobStore() {
  const asked: { key: string; bytes?: number; contentType?: string; expiresInMs: number }[] = [];
  const store: BlobStore = {
    createUpload: async (key, blob, expiresInMs) => {
      asked.push({ key, ...blob, expiresInMs });
      return { url: `https://blobs.example.com/${key}?put`, headers: { "content-type": blob.contentType } };
    },
    createDownloadUrl: async (key, expiresInMs) => {
      asked.push({ key, expiresInMs });
      return `https://blobs.example.com/${key}`;
    },
  };
  return { store, asked };
}

function simulate(options: Partial<StreamerOptions> = {}) {
  const { store, asked } = blobStore();
  const room = { ...OPEN, maxBlobBytes: 1_000_000 };
  const reader = { subscribe: () => true, maxBlobBytes: 1_000 };
  const channels = { room, reader, closed: { maxBlobBytes: 1_000 }, plain: OPEN };
  return { asked, ...simulateStreamer({ channels, blobs: store, ...options }) };
}

const png = { channel: ROOM, bytes: 1_000_000, contentType: "image/png" };
const error = (code: string) => expect.objectContaining({ error: expect.objectContaining({ code }) });

describe("upload", () => {
  it("returns an upload URL and a blob ID to a publisher", async () => {
    const { client, asked } = simulate();
    const { data } = await (await client("ada-1", { user: "ada" })).ask("upload", png);
    const [{ key, ...rest } = { key: "" }] = asked;
    expect(rest).toEqual({ bytes: 1_000_000, contentType: "image/png", expiresInMs: GOOD_FOR_MS });
    expect(key).toMatch(/^[\w-]{43}\/[\w-]{36}$/);
    expect(data).toEqual({
      blob: key.split("/")[1],
      url: `https://blobs.example.com/${key}?put`,
      headers: { "content-type": "image/png" },
      expiresAt: START + GOOD_FOR_MS,
    });
  });

  it("gives each blob its own ID and accepts bytes of any type", async () => {
    const { client, asked } = simulate();
    const ada = await client("ada-1");
    for (let n = 0; n < 2; n++) await ada.ask("upload", { channel: ROOM, bytes: 1 });
    expect(new Set(asked.map(({ key }) => key)).size).toBe(2);
    expect(asked[0]?.contentType).toBe("application/octet-stream");
  });

  it.each([
    ["a blob larger than maxBlobBytes", { ...png, bytes: 1_000_001 }, "TOO_LARGE"],
    ["an empty blob", { ...png, bytes: 0 }, "VALIDATION_ERROR"],
    ["a content type with a second header", { ...png, contentType: "a/b\r\nx: y" }, "VALIDATION_ERROR"],
    ["a client that may not publish", { ...png, channel: "reader:a", bytes: 1 }, "FORBIDDEN"],
    ["a namespace without blobs", { ...png, channel: "plain:a", bytes: 1 }, "NOT_FOUND"],
    ["an unknown namespace", { ...png, channel: "nowhere:a" }, "NOT_FOUND"],
  ])("refuses %s", async (_, payload, code) => {
    const { client, asked } = simulate();
    expect(await (await client("ada-1")).ask("upload", payload)).toEqual(error(code));
    expect(asked).toEqual([]);
  });
});

describe("download", () => {
  it("returns a URL of the uploaded blob to subscribers and server-side calls", async () => {
    const { client, streamer } = simulate();
    const ada = await client("ada-1", { tenant: "acme" });
    const { blob, url: put } = (await ada.ask("upload", png)).data;
    const { data } = await ada.ask("download", { channel: ROOM, blob });
    expect(data).toEqual({ url: put.replace("?put", ""), expiresAt: START + GOOD_FOR_MS });
    expect(await streamer.download(ROOM, blob, { tenantId: "acme" })).toEqual(data);
  });

  it("does not find a blob in another channel or tenant", async () => {
    const { client, asked } = simulate();
    const ada = await client("ada-1", { tenant: "acme" });
    const { blob } = (await ada.ask("upload", png)).data;
    const own = asked.at(-1)?.key;
    await ada.ask("download", { channel: "room:other", blob });
    await (await client("bob-1", { tenant: "other" })).ask("download", { channel: ROOM, blob });
    await (await client("cy-1")).ask("download", { channel: ROOM, blob });
    const others = asked.slice(1).map(({ key }) => key);
    expect(others.map((key) => key.split("/")[1])).toEqual([blob, blob, blob]);
    expect(new Set([own, ...others]).size).toBe(4);
  });

  it.each([
    ["a URL as the ID", { channel: ROOM, blob: "https://evil.example.com/x" }, "VALIDATION_ERROR"],
    [
      "a path as the ID",
      { channel: ROOM, blob: "../other/2b6f0cc9-04d7-4b9e-9c2f-6f6d1a5f2f0e" },
      "VALIDATION_ERROR",
    ],
    ["a client that may not subscribe", { channel: "closed:a", blob: crypto.randomUUID() }, "FORBIDDEN"],
    ["a namespace without blobs", { channel: "plain:a", blob: crypto.randomUUID() }, "NOT_FOUND"],
  ])("refuses %s", async (_, payload, code) => {
    const { client, asked } = simulate();
    expect(await (await client("ada-1")).ask("download", payload)).toEqual(error(code));
    expect(asked).toEqual([]);
  });
});

it("says that a namespace has no blobs", async () => {
  const ada = await simulate().client("ada-1");
  expect(await ada.ask("upload", { ...png, channel: "plain:a", bytes: 1 })).toMatchObject({
    error: { message: "The namespace has no blobs" },
  });
});

it("a failing blob store answers STORE_FAILED and reveals no cause", async () => {
  const fail = () => Promise.reject(new Error("secret of the bucket"));
  const { client, lines } = simulate({ blobs: { createUpload: fail, createDownloadUrl: fail } });
  const ada = await client("ada-1");
  for (const asked of [
    ada.ask("upload", png),
    ada.ask("download", { channel: ROOM, blob: crypto.randomUUID() }),
  ]) {
    const answer = await asked;
    expect(answer).toEqual(error("STORE_FAILED"));
    expect(JSON.stringify(answer)).not.toContain("secret");
  }
  expect(lines.join()).toContain("secret of the bucket");
});

it("createStreamer rejects namespaces with blobs without a blob store", () => {
  const { store } = simulateStreamer();
  expect(() => createStreamer({ store, channels: { room: { maxBlobBytes: 1 } } })).toThrow(
    "`channels.room.maxBlobBytes` requires `blobs`",
  );
  expect(() => createStreamer({ store, channels: { room: {} }, blobs: {} as never })).toThrow(
    "`blobs` must be a blob store",
  );
});
