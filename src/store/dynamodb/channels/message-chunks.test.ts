import { beforeEach, describe, expect, it } from "vitest";
import { ChannelWorld } from "../../../../test/dynamodb/channel-world.ts";
import { ANSWER_LOST, BROKEN, injectFaults, onceEach, THROTTLED } from "../../../../test/dynamodb/faults.ts";
import { localClient } from "../../../../test/dynamodb/world.ts";
import type { MessageChunks } from "../../contracts/message-chunks.ts";

let world: ChannelWorld;

beforeEach(async () => {
  world = await ChannelWorld.create();
});

const TEXTS = ["a", "b", "c", "d", "e"];
const PARTS = TEXTS.map((text, index) => ({ message: 1, index, count: TEXTS.length, text }));

function failing(choose: Parameters<typeof injectFaults>[1]): MessageChunks {
  const client = localClient();
  injectFaults(client, choose);
  return world.store({ client }).chunks;
}

describe("parts, each request of which", () => {
  it.each([
    ["is carried out, and the answer lost", ANSWER_LOST],
    ["is throttled", THROTTLED],
    ["fails", BROKEN],
  ])("%s the first time, give the whole once", async (_, fault) => {
    const parts = failing(onceEach(fault));
    const one = async () => {
      const joined = [];
      for (const part of PARTS) joined.push(await parts.add("c1", part, world.now()));
      return joined;
    };
    expect(await one()).toEqual(["opened", "kept", "kept", "kept", { whole: "abcde" }]);
    const atOnce = PARTS.map((part) => parts.add("c2", { ...part, message: 2 }, world.now()));
    const wholes = (await Promise.all(atOnce)).filter((joined) => typeof joined === "object");
    expect(wholes).toEqual([{ whole: "abcde" }]);
  });
});

it("has a message that is given up closed, though the answer is lost", async () => {
  const parts = failing(onceEach(ANSWER_LOST));
  await parts.add("c1", PARTS[0]!, world.now());
  // Of its own write it can't tell: what it answers then keeps an error from being told, and no message.
  await parts.abort("c1", 1);
  expect(await world.store().chunks.add("c1", PARTS[1]!, world.now())).toBe("closed");
});
