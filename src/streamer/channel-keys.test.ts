import { expect, it } from "vitest";
import {
  channelFromKey,
  parentChannelKey,
  subChannelFromKey,
  toChannelKey,
  toSubChannelKey,
} from "./channel-keys.ts";

const SCOPE = { tenantId: "acme", userId: "ada" };

it.each(["room:a", "request:r1"])("the key of %s is no sub-channel, and its own parent", (channel) => {
  const key = toChannelKey(SCOPE, channel);
  expect(subChannelFromKey(key)).toBeUndefined();
  expect(parentChannelKey(key)).toBe(key);
  expect(channelFromKey(key)).toBe(channel);
});

it.each(["streams", "owners"] as const)(
  "the key of the sub-channel %s has its channel's as parent",
  (name) => {
    const key = toChannelKey(SCOPE, "room:a");
    const sub = toSubChannelKey(key, name);
    expect(subChannelFromKey(sub)).toBe(name);
    expect(parentChannelKey(sub)).toBe(key);
  },
);
