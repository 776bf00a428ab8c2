import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { blobStoreProperties } from "../../../test/stores/blob-store-properties.ts";
import { blobStoreCases } from "../contracts/cases.ts";
import { type FileBlobStore, type FileBlobStoreOptions, fileBlobStore } from "./index.ts";

const GOOD_FOR_MS = 60_000;
/** Longer than any step takes on a busy machine. */
const SOON = { interval: 5 };
const PNG = { bytes: 3, contentType: "image/png" };

function temporaryFolder() {
  const parent = mkdtempSync(join(tmpdir(), "lift-ws-blobs-"));
  const remove = () => rmSync(parent, { recursive: true, force: true });
  return { parent, folder: join(parent, "made", "blobs"), remove };
}

async function createStoreUnderTest() {
  const { folder, remove } = temporaryFolder();
  const clock = { now: Date.UTC(2026, 0, 2) };
  const store = fileBlobStore({ folder, now: () => clock.now });
  return { store, clock, close: () => store.close().then(remove) };
}

blobStoreCases({ describe, it }, "blobs in a folder", createStoreUnderTest);
blobStoreProperties("blobs in a folder", createStoreUnderTest);

describe("fileBlobStore", () => {
  let parent: string;
  let folder: string;
  let store: FileBlobStore;

  beforeEach(() => {
    const made = temporaryFolder();
    ({ parent, folder } = made);
    store = fileBlobStore({ folder });
    onTestFinished(() => store.close().then(made.remove));
  });

  const putABC = async (key = "a") => {
    const { url, headers } = await store.createUpload(key, PNG, GOOD_FOR_MS);
    return fetch(url, { method: "PUT", headers, body: "abc" });
  };

  /** Starts a PUT with the given Content-Length, and sends one byte. */
  const begin = async (bytes = 3) => {
    const { url } = await store.createUpload("a", { ...PNG, bytes }, GOOD_FOR_MS);
    const { port, pathname, search } = new URL(url);
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => undefined);
    const head = [
      `PUT ${pathname}${search} HTTP/1.1`,
      "Host: a",
      "Content-Type: image/png",
      `Content-Length: ${bytes}`,
    ];
    socket.write(`${head.join("\r\n")}\r\n\r\na`);
    await vi.waitFor(() => expect(readdirSync(folder)).toHaveLength(1), SOON);
    return socket;
  };

  const isEmpty = () => vi.waitFor(() => expect(readdirSync(folder)).toEqual([]), SOON);

  it("listens only on loopback, and touches no disk before the first call", async () => {
    expect(existsSync(folder)).toBe(false);
    expect(await store.createDownloadUrl("a", GOOD_FOR_MS)).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/a\?/);
    expect(existsSync(folder)).toBe(true);
  });

  it("allows pages of any origin, and serves nothing that browsers open as a page", async () => {
    const { url } = await store.createUpload("a", PNG, GOOD_FOR_MS);
    const asked = { "access-control-request-method": "PUT", origin: "http://localhost:5173" };
    const preflight = await fetch(url, { method: "OPTIONS", headers: asked });
    expect(preflight.status).toBe(204);
    expect(Object.fromEntries(preflight.headers)).toMatchObject({
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, PUT",
      "access-control-allow-headers": "content-type",
    });
    const download = await store.createDownloadUrl("a", GOOD_FOR_MS);
    for (const answer of [await fetch(download), await putABC(), await fetch(download)]) {
      expect(answer.headers.get("access-control-allow-origin")).toBe("*");
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    }
  });

  it("keeps blobs, but no URLs, when it is closed and opened again", async () => {
    await putABC();
    const old = new URL(await store.createDownloadUrl("a", GOOD_FOR_MS));
    await store.close();
    store = fileBlobStore({ folder });
    const url = new URL(await store.createDownloadUrl("a", GOOD_FOR_MS));
    expect(await (await fetch(url)).text()).toBe("abc");
    old.port = url.port;
    expect((await fetch(old)).status).toBe(403);
  });

  it("rejects an upload without Content-Length", async () => {
    const { url, headers } = await store.createUpload("a", PNG, GOOD_FOR_MS);
    const body = new Blob(["abc"]).stream();
    const init = { method: "PUT", headers, body, duplex: "half" };
    expect((await fetch(url, init as RequestInit)).status).toBe(411);
    await isEmpty();
  });

  it("stores nothing of an aborted upload", async () => {
    const socket = await begin();
    socket.end();
    await isEmpty();
    expect((await fetch(await store.createDownloadUrl("a", GOOD_FOR_MS))).status).toBe(404);
  });

  it("serves the previous blob while another replaces it", async () => {
    await putABC();
    const { url } = await store.createUpload("a", { ...PNG, bytes: 100_000 }, GOOD_FOR_MS);
    const put = request(url, {
      method: "PUT",
      headers: { "content-type": PNG.contentType, "content-length": 100_000 },
    });
    put.write("x".repeat(50_000));
    await vi.waitFor(() => expect(readdirSync(folder)).toHaveLength(2), SOON);
    const get = async () => (await fetch(await store.createDownloadUrl("a", GOOD_FOR_MS))).text();
    expect(await get()).toBe("abc");
    put.end("x".repeat(50_000));
    await once(put, "response");
    expect(await get()).toBe("x".repeat(100_000));
  });

  it("aborts uploads on close, and stores nothing of them", async () => {
    const socket = await begin();
    const closed = once(socket, "close");
    await store.close();
    await closed;
    expect(readdirSync(folder)).toEqual([]);
    await expect(store.createDownloadUrl("a", GOOD_FOR_MS)).rejects.toMatchObject({ code: "STORE_REFUSED" });
  });

  it("removes unfinished files of a killed process, but not those of a running one", async () => {
    mkdirSync(folder, { recursive: true });
    for (const name of ["old.unfinished", "new.unfinished", "note.txt"])
      writeFileSync(join(folder, name), "");
    const hourAgo = Date.now() / 1_000 - 3_600;
    for (const name of ["old.unfinished", "note.txt"]) utimesSync(join(folder, name), hourAgo, hourAgo);
    await store.createDownloadUrl("a", GOOD_FOR_MS);
    expect(readdirSync(folder).sort()).toEqual(["new.unfinished", "note.txt"]);
  });

  it("rejects every unsigned request", async () => {
    await putABC();
    const secret = join(parent, "secret");
    writeFileSync(secret, "secret");
    const before = readdirSync(parent, { recursive: true });
    const { port, search } = new URL(await store.createDownloadUrl("a", GOOD_FOR_MS));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const ask = async (method: string, path: string) => {
      const sent = request({
        port,
        host: "127.0.0.1",
        path,
        method,
        agent,
        headers: { "content-length": 1 },
      });
      sent.end("x");
      const [response] = await once(sent, "response");
      let text = "";
      for await (const chunk of response) text += chunk;
      return [response.statusCode, text] as const;
    };
    const text = fc.string().map(encodeURIComponent);
    const path = fc
      .oneof(
        fc.constantFrom(
          "../../secret",
          "../../../secret",
          "a/../../../secret",
          "%2e%2e/%2e%2e/secret",
          secret,
        ),
        text,
      )
      .map((text) => `/${text}`);
    const query = fc.oneof(
      fc.constant(search),
      fc
        .tuple(text, text, text)
        .map(([expires, type, signature]) => `?${new URLSearchParams({ expires, type, signature })}`),
    );
    const method = fc.constantFrom("GET", "PUT", "POST", "DELETE", "PATCH");
    await fc.assert(
      fc.asyncProperty(method, path, query, async (method, path, query) => {
        fc.pre(path !== "/a" || method !== "GET");
        const [status, text] = await ask(method, path + query);
        expect([403, 405]).toContain(status);
        expect(text).not.toContain("secret");
      }),
    );
    expect(readdirSync(parent, { recursive: true })).toEqual(before);
    expect(readFileSync(secret, "utf8")).toBe("secret");
  });

  it("reports an unusable folder, and works once it is usable", async () => {
    writeFileSync(join(parent, "made"), "a file");
    const failed = { name: "StoreError", code: "STORE_REFUSED", cause: { code: "ENOTDIR" } };
    await expect(store.createDownloadUrl("a", GOOD_FOR_MS)).rejects.toMatchObject(failed);
    rmSync(join(parent, "made"));
    expect((await putABC()).status).toBe(200);
  });

  it("returns 500 for a malformed or unwritable file", async () => {
    await putABC();
    const [name = ""] = readdirSync(folder);
    writeFileSync(join(folder, name), "abc");
    const url = await store.createDownloadUrl("a", GOOD_FOR_MS);
    expect((await fetch(url)).status).toBe(500);
    rmSync(folder, { recursive: true });
    expect((await putABC()).status).toBe(500);
  });

  it.each(["", "a\nb", "a\r\nx: y", "ä", "x".repeat(256)])(
    "rejects the content type %j",
    async (contentType) => {
      const asked = store.createUpload("a", { bytes: 3, contentType }, GOOD_FOR_MS);
      await expect(asked).rejects.toMatchObject({ code: "STORE_REFUSED" });
    },
  );

  it.each([
    [{}, "`folder` is required"],
    [{ folder: "" }, "`folder` must be"],
    [{ folder: "a\0b" }, "`folder` must be"],
    [{ folder: "a", now: 0 }, "`now` must be"],
    [{ folder: "a", host: "0.0.0.0" }, "Unknown option `host`"],
  ])("rejects the options %o", (options, message) => {
    const made = () => fileBlobStore(options as FileBlobStoreOptions);
    expect(made).toThrow(expect.objectContaining({ name: "StoreError", code: "INVALID_OPTION" }));
    expect(made).toThrow(message);
  });
});
