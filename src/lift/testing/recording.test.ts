import { expect, it } from "vitest";
import { recordingConnections } from "./recording.ts";

it("records sends by connection, as text and as JSON", async () => {
  const connections = recordingConnections();
  expect(await connections.post("a", '{"n":1}')).toBe("sent");
  expect(await connections.post("b", Buffer.from("2"))).toBe("sent");
  expect(connections.sent).toEqual([
    { connectionId: "a", data: '{"n":1}' },
    { connectionId: "b", data: "2" },
  ]);
  expect([connections.sentTo("a"), connections.jsonSentTo("a"), connections.jsonSentTo("c")]).toEqual([
    ['{"n":1}'],
    [{ n: 1 }],
    [],
  ]);
});

it("reports each recipient of a broadcast", async () => {
  const connections = recordingConnections().gone("b").throttled("c");
  const { results } = await connections.broadcast(["a", "b", "c"], "hi", { results: true });
  expect(results).toMatchObject([
    { connectionId: "a", outcome: "sent" },
    { connectionId: "b", outcome: "gone" },
    { connectionId: "c", error: { code: "LIMIT_EXCEEDED" } },
  ]);
  expect(connections.sent).toEqual([{ connectionId: "a", data: "hi" }]);
});

it("is connected until it is gone, or disconnected once", async () => {
  const connections = recordingConnections().gone("b");
  expect(await connections.get("a")).toEqual({
    connectedAt: 0,
    lastActiveAt: 0,
    identity: { sourceIp: "127.0.0.1" },
  });
  expect([await connections.get("b"), await connections.post("b", "hi")]).toEqual([undefined, "gone"]);
  expect([await connections.disconnect("b"), await connections.disconnect("a")]).toEqual([false, true]);
  expect([await connections.disconnect("a"), await connections.get("a")]).toEqual([false, undefined]);
  expect(connections.disconnected).toEqual(["a"]);
});

it("refuses messages above the limit in bytes", async () => {
  const connections = recordingConnections().tooLarge(2);
  expect(await connections.post("a", "é")).toBe("sent");
  const refusal = { code: "PAYLOAD_TOO_LARGE", message: "The message has 3 bytes; the limit is 2" };
  await expect(connections.post("a", "éx")).rejects.toMatchObject(refusal);
  await expect(connections.broadcast(["a"], "éx")).rejects.toMatchObject(refusal);
  await expect(connections.tooLarge().post("a", "x")).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
});

it("throws the reason of an aborted signal, and records nothing", async () => {
  const connections = recordingConnections();
  const signal = AbortSignal.abort(new Error("stopped"));
  await expect(connections.post("a", "hi", { signal })).rejects.toThrow("stopped");
  await expect(connections.get("a", { signal })).rejects.toThrow("stopped");
  await expect(connections.disconnect("a", { signal })).rejects.toThrow("stopped");
  expect([connections.sent, connections.disconnected]).toEqual([[], []]);
});
