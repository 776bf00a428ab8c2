import { expect, it, vi } from "vitest";
import { memoryChannelStore } from "../../store/memory/index.ts";
import { FanOut } from "../fan-out/fan-out.ts";
import { StreamLog } from "../live-streams/stream-log.ts";
import { Viewers } from "./viewer-count.ts";

it("looks at few of the channels that it knows when it counts another, however many within a second", async () => {
  const now = () => 1_000_000;
  const store = memoryChannelStore({ now });
  const streams = new StreamLog(store.history, now);
  const viewers = new Viewers(store.members, streams, new FanOut(store, now), undefined, now);
  const channels = Array.from({ length: 3_000 }, (_, n) => `[null,"show:${n}"]`);
  const looks = vi.spyOn(Object.getPrototypeOf(new Map().entries()), "next");
  const counts = channels.map((key) => viewers.count(key));
  const looked = looks.mock.calls.length;
  looks.mockRestore();
  expect(await Promise.all(counts)).toEqual(channels.map(() => 0));
  expect(looked).toBeLessThan(20_000);
});
