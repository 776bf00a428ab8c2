import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { memoryChannelStore, memoryConnectionStore } from "./index.ts";

const MINUTE = 60_000;
const LIFETIME = 130 * MINUTE;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
});

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}

describe.each([
  ["ahead", 60 * MINUTE],
  ["back", -60 * MINUTE],
])("a wall clock that is set %s by an hour", (_, jump) => {
  it("does not expire connections early", async () => {
    const store = memoryConnectionStore();
    const row = {
      id: "a",
      userId: "ada",
      metadata: {},
      state: {},
      sourceIp: "192.0.2.1",
      endpoint: "https://api.example.com/live",
      connectedAt: Date.now(),
      expiresAt: Date.now() + LIFETIME,
    };
    await store.save(row);
    vi.advanceTimersByTime(80 * MINUTE);
    vi.setSystemTime(Date.now() + jump);
    expect(await store.setState("a", { n: 1 })).toBe(true);
    expect(store.peek?.("a", Date.now())).toMatchObject({ state: { n: 1 } });
    expect([await store.count(), await all(store.listByUser("ada"))]).toMatchObject([1, [{ id: "a" }]]);
    vi.advanceTimersByTime(110 * MINUTE);
    expect([await store.get("a"), await store.count()]).toEqual([undefined, 0]);
  });

  it("does not expire members early", async () => {
    const { members } = memoryChannelStore();
    const member = { connectionId: "a", userId: "ada", endpoint: "https://api.example.com/live" };
    await members.add("room", { ...member, joinedAt: Date.now(), expiresAt: Date.now() + LIFETIME });
    vi.advanceTimersByTime(80 * MINUTE);
    vi.setSystemTime(Date.now() + jump);
    expect(await members.count("room", Date.now())).toBe(1);
    expect(await all(members.listMembers("room", Date.now()))).toMatchObject([{ members: [member] }]);
    expect(await all(members.listPresence("room", Date.now()))).toMatchObject([{ userId: "ada" }]);
    expect(await members.setState("room", "ada", "here")).toBe(true);
    vi.advanceTimersByTime(110 * MINUTE);
    expect(await members.count("room", Date.now())).toBe(0);
    expect(await all(members.listPresence("room", Date.now()))).toEqual([]);
  });
});
