import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { expect, it, onTestFinished, vi } from "vitest";
import { OPEN, type SimulatedClient, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { fakeBucket } from "../../../test/support/fake-bucket.ts";
import { fileBlobStore } from "../../store/files/index.ts";
import { type BlobStore, type Json, MAX_RESULT_BYTES, StoreError } from "../../store/index.ts";
import { s3BlobStore } from "../../store/s3/index.ts";
import type { RequestHandler, RequestsOptions } from "./options.ts";

const LARGE = "é".repeat(200_000);
const LARGE_BYTES = 400_002;
const ADA = { user: "ada", tenant: "acme" };

function createBlobs() {
  const folder = mkdtempSync(join(tmpdir(), "lift-results-"));
  const store = fileBlobStore({ folder });
  onTestFinished(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  return {
    createUpload: vi.fn<BlobStore["createUpload"]>(store.createUpload),
    createDownloadUrl: vi.fn<BlobStore["createDownloadUrl"]>(store.createDownloadUrl),
  };
}

/** A Streamer with one long request, whose client has sent it. */
async function start(handler: RequestHandler, blobs: BlobStore, requests: RequestsOptions = {}) {
  const simulation = simulateStreamer({ channels: { room: OPEN }, requests, blobs });
  simulation.streamer.request("report", { estimatedMs: 60_000, retry: { attempts: 1 } }, handler);
  const ada = await simulation.client("a", ADA);
  await ada.send({ id: "r1", action: "report" });
  return { ...simulation, ada };
}

const stateOf = async (client: SimulatedClient) => (await client.ask("request", { request: "r1" })).data;

async function ended(client: SimulatedClient) {
  const types = ["complete", "error"];
  const isEnd = ({ type, request_id }: { type: string; request_id: string }) =>
    request_id === "r1" && types.includes(type);
  return vi.waitUntil(() => client.received().find(isEnd), { timeout: 10_000 });
}

async function download(client: SimulatedClient): Promise<Response> {
  const { data } = await client.ask("result", { request: "r1" });
  expect(data).toEqual({ text: "", more: false, url: expect.any(String), expiresAt: expect.any(Number) });
  return fetch(data.url);
}

it("puts a result over 300 KB into the blob store, for its user's other devices too", async () => {
  const blobs = createBlobs();
  const { ada, client } = await start(() => LARGE, blobs);
  expect(await ended(ada)).toEqual({
    type: "complete",
    request_id: "r1",
    success: true,
    result_bytes: LARGE_BYTES,
    output: 0,
  });
  const phone = await client("phone", ADA);
  expect(await stateOf(phone)).toMatchObject({ state: "COMPLETED", result_bytes: LARGE_BYTES });
  const response = await download(phone);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toBe(LARGE);
  const [key] = blobs.createUpload.mock.calls[0]!;
  expect(key).toMatch(/^results\/[\w-]{43}\/[0-9a-f-]{36}$/);
});

it("puts it into an S3 bucket, which checks the signatures", async () => {
  const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
  const { endpoint, close } = await fakeBucket(credentials, Date.now);
  onTestFinished(close);
  const client = new S3Client({ endpoint, region: "eu-west-1", credentials, forcePathStyle: true });
  const { ada } = await start(() => LARGE, s3BlobStore({ bucket: "app", client }));
  expect(await ended(ada)).toMatchObject({ type: "complete", result_bytes: LARGE_BYTES });
  expect(await (await download(ada)).json()).toBe(LARGE);
});

it("keeps a result of 300 KB in the request store", async () => {
  const blobs = createBlobs();
  const { ada } = await start(() => "x".repeat(MAX_RESULT_BYTES - 2), blobs);
  expect(await ended(ada)).toMatchObject({ type: "complete", result_bytes: MAX_RESULT_BYTES });
  expect((await ada.ask("result", { request: "r1" })).data).toMatchObject({ more: true });
  expect(blobs.createUpload).not.toHaveBeenCalled();
});

it("gives no URL to other users and tenants", async () => {
  const blobs = createBlobs();
  const { ada, client } = await start(() => LARGE, blobs);
  await ended(ada);
  for (const other of [{ ...ADA, user: "bob" }, { ...ADA, tenant: "other" }, { user: "ada" }, {}]) {
    const stranger = await client(`c${JSON.stringify(other)}`, other);
    expect(await stranger.ask("result", { request: "r1" })).toMatchObject({ error: { code: "NOT_FOUND" } });
  }
  expect(blobs.createDownloadUrl).not.toHaveBeenCalled();
});

it.each<{ json: Json }>([
  { json: { "~lift": { blob: "2b6f0cc9-04d7-4b9e-9c2f-6f6d1a5f2f0e", bytes: 1 } } },
  { json: { "~lift": { json: 1 }, more: 2 } },
  { json: { "~lift": null } },
])("returns a result that looks like a reference to a blob: $json", async ({ json }) => {
  const { ada } = await start(() => json, createBlobs());
  expect(await ended(ada)).toMatchObject({ type: "complete", result: json });
  expect(await stateOf(ada)).toMatchObject({ result: json });
});

it.each([
  ["completes with", 400_000, { type: "complete", result_bytes: 400_000 }],
  ["fails with TOO_LARGE for", 400_001, { type: "error", error: { code: "TOO_LARGE" } }],
])("%s a result of %i bytes, with `maxResultBytes` of 400,000", async (_, bytes, end) => {
  const { ada } = await start(() => "x".repeat(bytes - 2), createBlobs(), { maxResultBytes: 400_000 });
  expect(await ended(ada)).toMatchObject(end);
});

it("limits results below 300 KB too, and requires `blobs` above", () => {
  const create = (maxResultBytes: number) => () => simulateStreamer({ requests: { maxResultBytes } });
  expect(create(MAX_RESULT_BYTES)).not.toThrow();
  expect(create(MAX_RESULT_BYTES + 1)).toThrow("`requests.maxResultBytes` over 307200 requires `blobs`");
  expect(create(0)).toThrow("`requests.maxResultBytes` must be");
});

it("repeats the upload, and not the handler, when the blob store does not answer", async () => {
  const blobs = createBlobs();
  blobs.createUpload.mockRejectedValueOnce(new StoreError("STORE_UNAVAILABLE"));
  blobs.createUpload.mockResolvedValueOnce((await brokenServer(503)).upload);
  blobs.createUpload.mockResolvedValueOnce((await brokenServer("hang up")).upload);
  const handler = vi.fn(() => LARGE);
  const { ada } = await start(handler, blobs);
  expect(await ended(ada)).toMatchObject({ type: "complete", result_bytes: LARGE_BYTES });
  expect(await (await download(ada)).json()).toBe(LARGE);
  expect(handler).toHaveBeenCalledTimes(1);
});

it("fails the attempt when the blob store refuses the upload", async () => {
  const blobs = createBlobs();
  blobs.createUpload.mockResolvedValue((await brokenServer(403)).upload);
  const { ada, lines } = await start(() => LARGE, blobs);
  expect(await ended(ada)).toMatchObject({ type: "error", error: { code: "STORE_FAILED" } });
  expect(lines.join()).toContain("status 403");
  expect(await ada.ask("result", { request: "r1" })).toMatchObject({ error: { code: "NOT_FOUND" } });
});

it("fails the attempt when the blob store does not answer for the time of a lease", async () => {
  const blobs = createBlobs();
  blobs.createUpload.mockRejectedValue(new StoreError("STORE_UNAVAILABLE"));
  const { ada, store } = await start(() => LARGE, blobs, { leaseMs: 1_000 });
  const renew = vi.spyOn(store.requests!, "renew");
  expect(await ended(ada)).toMatchObject({ type: "error", error: { code: "STORE_FAILED" } });
  expect(renew).toHaveBeenCalled();
});

it("leaves no result when the request is cancelled after the upload", async () => {
  const blobs = createBlobs();
  const { ada, store } = await start(() => LARGE, blobs);
  const { finish } = store.requests!;
  vi.spyOn(store.requests!, "finish").mockImplementationOnce(async (...given) => {
    await ada.ask("cancel", { request: "r1" });
    return finish.apply(store.requests, given);
  });
  expect(await ended(ada)).toMatchObject({ error: { code: "CANCELLED" } });
  expect(blobs.createUpload).toHaveBeenCalledTimes(1);
  expect(await ada.ask("result", { request: "r1" })).toMatchObject({ error: { code: "NOT_FOUND" } });
});

it("aborts the upload of a request that is cancelled", async () => {
  const blobs = createBlobs();
  const { upload, reached, dropped } = await brokenServer("hang");
  blobs.createUpload.mockResolvedValue(upload);
  const { ada } = await start(() => LARGE, blobs);
  await reached;
  await ada.ask("cancel", { request: "r1" });
  await dropped;
  expect(await stateOf(ada)).toMatchObject({ state: "CANCELLED" });
});

/** A service that answers no upload as it should. `reached` and `dropped` resolve when an upload begins and ends. */
async function brokenServer(behavior: number | "hang" | "hang up") {
  const [reached, dropped] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const server = createServer((request, response) => {
    reached.resolve();
    response.on("close", dropped.resolve);
    if (behavior === "hang up") request.socket.destroy();
    else request.resume().on("end", () => behavior !== "hang" && response.writeHead(behavior).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { upload: { url, headers: {} }, reached: reached.promise, dropped: dropped.promise };
}
