import { expect, it, vi } from "vitest";
import { memoryChannelStore } from "../../store/memory/index.ts";
import { FanOut } from "../fan-out/fan-out.ts";
import { StreamLog } from "../live-streams/stream-log.ts";
import { ViewerCounts } from "./viewer-count.ts";

it("counting a channel looks at few of the known channels", async () => {
  const now = () => 1_000_000;
  const { history, members } = memoryChannelStore({ now });
  const streamLog = new StreamLog(history, now);
  const fanOut = new FanOut(members, now);
  const viewers = new ViewerCounts({ members, streamLog, fanOut, schedule: undefined, now });
  const channels = Array.from({ length: 3_000 }, (_, n) => `[null,"show:${n}"]`);
  const next = vi.spyOn(Object.getPrototypeOf(new Map().entries()), "next");
  const counts = channels.map((key) => viewers.count(key));
  const looks = next.mock.calls.length;
  next.mockRestore();
  expect(await Promise.all(counts)).toEqual(channels.map(() => 0));
  expect(looks).toBeLessThan(20_000);
});
