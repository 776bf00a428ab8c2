import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { connected } from "../../../test/client/setup.ts";
import { LIMITS, parseRequest } from "../../protocol/index.ts";
import { splitIntoChunks } from "./chunking.ts";

const ROOM = "room:a";
const large = "x".repeat(100_000);

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("splitIntoChunks", () => {
  const payloads = (id: string, text: string) =>
    splitIntoChunks(id, 12, text).map((frame) => {
      expect(Buffer.byteLength(frame)).toBeLessThanOrEqual(LIMITS.clientFrameBytes);
      const request = parseRequest(frame);
      if (request.action !== "part") throw new Error(`Expected a part; got ${request.action}`);
      expect(request.id).toBe(id);
      return request.payload;
    });
  const expectWhole = (text: string) => {
    const all = payloads("12", text);
    expect(all.map(({ text }) => text).join("")).toBe(text);
    expect(all.map(({ message, index, count }) => [message, index, count])).toEqual(
      all.map((_, index) => [12, index, all.length]),
    );
    return all.length;
  };

  it("returns the message in frames within the service's limit, for any content", () => {
    const pieces = fc.constantFrom('"', "\\", "a", "é", "\u{1F600}", "日", "\n", "\u0000", "\ud800");
    fc.assert(
      fc.property(fc.array(pieces, { minLength: 1, maxLength: 20 }), fc.nat(6_000), (some, times) => {
        const text = JSON.stringify([some.join("").repeat(times), "x".repeat(LIMITS.clientFrameBytes)]);
        if (Buffer.byteLength(text) <= LIMITS.messageBytes) expectWhole(text);
      }),
      { numRuns: 50 },
    );
  });

  it("returns no more chunks than the protocol allows", () => {
    const quotes = JSON.stringify('"'.repeat(LIMITS.messageBytes / 2 - 1));
    expect(Buffer.byteLength(quotes)).toBe(LIMITS.messageBytes);
    expect(expectWhole(quotes)).toBeLessThanOrEqual(LIMITS.parts);
  });
});

describe("a message larger than a frame", () => {
  it("is sent in chunks, and gets one response", async () => {
    const { client, server, clock } = await connected();
    const publishing = client.publish(ROOM, large);
    await clock.pass(10);
    expect(await publishing).toMatchObject({ position: { offset: 1 } });
    expect(server.stored).toEqual([large]);
    expect(server.actions).toEqual(["part", "part", "part", "part"]);
  });

  it.each([
    [LIMITS.clientFrameBytes, ["publish"]],
    [LIMITS.clientFrameBytes + 1, ["part", "part"]],
  ])("is sent in chunks only over the limit of a frame: %i bytes", async (bytes, actions) => {
    const { client, server, clock } = await connected();
    const frame = { id: "~1", action: "publish", payload: { channel: ROOM, data: "", key: "k" } };
    void client.publish(ROOM, "x".repeat(bytes - JSON.stringify(frame).length), { key: "k" });
    await clock.pass(10);
    expect(server.actions).toEqual(actions);
  });

  it("is sent up to the protocol's limit", async () => {
    const { client, server, clock } = await connected();
    server.jobs.answer = ({ payload }) => ({ data: (payload as string).length });
    const frame = { id: "i", action: "echo", payload: "" };
    const length = LIMITS.messageBytes - JSON.stringify(frame).length;
    const job = client.request("echo", "x".repeat(length), { id: "i" });
    await clock.pass(10);
    expect(await job).toBe(length);
  });

  it("is refused over the protocol's limit before anything is sent", async () => {
    const { client, server } = await connected();
    const tooLarge = { code: "TOO_LARGE", message: "The message is over 131072 bytes", retry: false };
    await expect(client.publish(ROOM, "x".repeat(LIMITS.messageBytes))).rejects.toMatchObject(tooLarge);
    await expect(client.setPresence(ROOM, "x".repeat(LIMITS.messageBytes))).rejects.toMatchObject(tooLarge);
    expect(server.actions).toEqual([]);
  });

  it("waits for the previous large message of another channel, and does not delay small ones", async () => {
    const { client, server, clock } = await connected();
    const all = [client.publish(ROOM, large), client.publish("room:b", large), client.publish("room:c", 1)];
    await clock.pass(2);
    expect(server.actions).toEqual(["publish", "part", "part", "part", "part"]);
    await clock.pass(10);
    await Promise.all(all);
    expect(server.stored).toEqual([1, large, large]);
  });

  it("does not wait for an aborted one", async () => {
    const { client, server, clock } = await connected();
    server.intercept = ({ action }, socket) => {
      if (action === "publish") socket.deliver = () => {};
      return undefined;
    };
    const controller = new AbortController();
    const first = client.publish(ROOM, large, { signal: controller.signal });
    const failed = expect(first).rejects.toMatchObject({ code: "ABORTED" });
    await clock.pass(10);
    controller.abort();
    await failed;
    void client.publish("room:b", large);
    await clock.pass(10);
    expect(server.stored).toEqual([large, large]);
  });

  it("is stored once when the connection ends between its chunks or before its response", async () => {
    const { client, server, clock } = await connected();
    let cuts = 0;
    const receive = server.receive.bind(server);
    server.receive = (socket, frame) => {
      if (frame.includes('"index":1') && ++cuts === 1) return socket.cut();
      if (frame.includes('"index":3') && cuts++ === 2) {
        receive(socket, frame);
        return socket.cut();
      }
      receive(socket, frame);
    };
    const publishing = client.publish(ROOM, large);
    await clock.pass(60_000);
    expect(await publishing).toMatchObject({ position: { offset: 1 } });
    expect(server.stored).toEqual([large]);
    expect(server.opened.length).toBeGreaterThanOrEqual(3);
  });
});

describe("blobs", () => {
  const blob = "2b6f0cc9-04d7-4b9e-9c2f-6f6d1a5f2f0e";
  const url = "https://blobs.example.com/b";
  const connectWithFetch = async (fetched: () => Promise<Response>) => {
    const all = await connected();
    all.server.intercept = ({ action }) => {
      if (action === "upload") return { blob, url, headers: { "content-type": "image/png" }, expiresAt: 1 };
      return action === "download" ? { url, expiresAt: 1 } : undefined;
    };
    const fetch = vi.fn(fetched);
    vi.stubGlobal("fetch", fetch);
    return { ...all, fetch };
  };
  const file = new Blob(["png"], { type: "image/png" });

  it("are uploaded to the server's URL, and get the server's id", async () => {
    const { client, clock, server, fetch } = await connectWithFetch(async () => new Response());
    const uploading = client.upload(ROOM, file);
    await clock.pass(10);
    expect(await uploading).toBe(blob);
    expect(server.requests.at(-1)?.payload).toEqual({ channel: ROOM, bytes: 3, contentType: "image/png" });
    const headers = { "content-type": "image/png" };
    expect(fetch.mock.calls).toEqual([
      [url, expect.objectContaining({ method: "PUT", headers, body: file })],
    ]);
  });

  it("are downloaded from the server's URL", async () => {
    const { client, clock, server } = await connectWithFetch(async () => new Response("png"));
    const downloading = client.download(ROOM, blob);
    await clock.pass(10);
    expect(await (await downloading).text()).toBe("png");
    expect(server.requests.at(-1)?.payload).toEqual({ channel: ROOM, blob });
  });

  it.each([
    ["the storage refuses", async () => new Response("", { status: 403 })],
    ["the network fails", () => Promise.reject(new TypeError("no network"))],
  ])("fail with TRANSFER_FAILED when %s", async (_, fetched) => {
    const { client, clock } = await connectWithFetch(fetched);
    const failed = { code: "TRANSFER_FAILED", cause: expect.anything() };
    const both = [
      expect(client.upload(ROOM, file)).rejects.toMatchObject(failed),
      expect(client.download(ROOM, blob)).rejects.toMatchObject(failed),
    ];
    await clock.pass(10);
    await Promise.all(both);
  });

  it("end with their signal, even during a transfer", async () => {
    const { client, clock, fetch } = await connectWithFetch(() => new Promise(() => {}));
    const controller = new AbortController();
    const uploading = client.upload(ROOM, file, { signal: controller.signal });
    const failed = expect(uploading).rejects.toMatchObject({ code: "ABORTED" });
    await clock.pass(10);
    controller.abort();
    await failed;
    expect((fetch.mock.calls as unknown[][])[0]?.[1]).toMatchObject({ signal: { aborted: true } });
  });
});
