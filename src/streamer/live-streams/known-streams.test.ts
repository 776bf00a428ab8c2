import { expect, it } from "vitest";
import { memoryChannelStore } from "../../store/memory/index.ts";
import type { Channels } from "../namespaces.ts";
import { Streams } from "./live-streams.ts";

it("remembers a bounded number of streams, however many there are within an hour", {
  timeout: 60_000,
}, async () => {
  const channels = { namespaceOf: () => undefined } as unknown as Channels;
  const streams = new Streams(memoryChannelStore(), undefined, channels, () => 0);
  const live = { user: "ada", since: 1, viewers: 0 };
  for (let n = 0; n < 100_050; n++) await streams.meet(JSON.stringify([null, `show:${n}`]), live, undefined);
  expect(streams.size).toBe(100_000);
});
