import { describe, expect, it, vi } from "vitest";
import type { Connections } from "../../../apigw/index.ts";
import type { AnyContext } from "../../context.ts";
import { countSends } from "./count-sends.ts";

/** Counts the sends of connections whose every call is a mock. */
function setUp() {
  const mocks = { post: vi.fn(), broadcast: vi.fn(), get: vi.fn(), disconnect: vi.fn() };
  let connections = mocks as unknown as Connections;
  const instrument: AnyContext["instrument"] = (wrappers) => {
    connections = wrappers.connections?.(connections) ?? connections;
  };
  const counts = countSends({ instrument } as AnyContext);
  return { mocks, counts, connections };
}

const options = { budget: { getRemainingTimeInMillis: () => 1_000 } };
const failure = new Error("no route to host");

describe("the counts of an event's sends", () => {
  it("have the bytes of each message that was sent", async () => {
    const { mocks, counts, connections } = setUp();
    mocks.post.mockResolvedValueOnce("sent").mockResolvedValueOnce("gone");
    expect(await connections.post("a=", "grüße", options)).toBe("sent");
    expect(await connections.post("b=", "text", options)).toBe("gone");
    expect(counts).toEqual({ sent: 1, gone: 1, failed: 0, sentBytes: 7 });
    expect(mocks.post).toHaveBeenNthCalledWith(1, "a=", "grüße", options);
  });

  it("have the bytes of a broadcast for each recipient", async () => {
    const { mocks, counts, connections } = setUp();
    const report = { sent: 3, gone: 2, failed: 1 };
    mocks.broadcast.mockResolvedValue(report);
    for (let times = 0; times < 2; times++) {
      expect(await connections.broadcast(["a="], "four", options)).toBe(report);
    }
    expect(counts).toEqual({ sent: 6, gone: 4, failed: 2, sentBytes: 24 });
    expect(mocks.broadcast).toHaveBeenCalledWith(["a="], "four", options);
  });

  it("have each call that fails once", async () => {
    const { mocks, counts, connections } = setUp();
    mocks.post.mockRejectedValue(failure);
    mocks.broadcast.mockRejectedValue(failure);
    await expect(connections.post("a=", "text")).rejects.toBe(failure);
    expect(counts).toEqual({ sent: 0, gone: 0, failed: 1, sentBytes: 0 });
    await expect(connections.broadcast(["a="], "text")).rejects.toBe(failure);
    expect(counts).toEqual({ sent: 0, gone: 0, failed: 2, sentBytes: 0 });
  });

  it("do not change with other calls, which pass through", async () => {
    const { mocks, counts, connections } = setUp();
    mocks.get.mockResolvedValue("info");
    mocks.disconnect.mockResolvedValue(true);
    expect(await connections.get("a=", options)).toBe("info");
    expect(await connections.disconnect("a=", options)).toBe(true);
    expect([mocks.get.mock.calls, mocks.disconnect.mock.calls]).toEqual([
      [["a=", options]],
      [["a=", options]],
    ]);
    expect(counts).toEqual({ sent: 0, gone: 0, failed: 0, sentBytes: 0 });
  });
});
