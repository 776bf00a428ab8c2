import { expect, it } from "vitest";
import { memoryChannelStore } from "../../store/memory/index.ts";
import { Channels } from "../channels.ts";
import { ConnectionWatch } from "../membership/connection-watch.ts";
import { StreamOwners } from "./stream-owners.ts";

it("the number of known streams is bounded, also within an hour", {
  timeout: 60_000,
}, async () => {
  const now = () => 0;
  const channels = new Channels(new Map());
  const watch = new ConnectionWatch(undefined, channels, now, undefined);
  const { members } = memoryChannelStore();
  const owners = new StreamOwners({ members, schedule: undefined, channels, watch, now });
  const live = { user: "ada", since: 1, viewers: 0 };
  for (let n = 0; n < 100_050; n++) {
    await owners.ensureOwnerCheck(JSON.stringify([null, `show:${n}`]), live, undefined);
  }
  expect(owners.knownCount).toBe(100_000);
});
