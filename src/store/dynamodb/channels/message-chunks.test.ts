import { beforeEach, describe, expect, it } from "vitest";
import { ChannelTables } from "../../../../test/dynamodb/channel-tables.ts";
import { localClient } from "../../../../test/dynamodb/connection-table.ts";
import {
  failFirstAttempts,
  INTERNAL_ERROR,
  injectFaults,
  RESPONSE_LOST,
  THROTTLED,
} from "../../../../test/dynamodb/request-faults.ts";
import type { MessageChunks } from "../../contracts/message-chunks.ts";

let tables: ChannelTables;

beforeEach(async () => {
  tables = await ChannelTables.create();
});

const TEXTS = ["a", "b", "c", "d", "e"];
const PARTS = TEXTS.map((text, index) => ({ message: 1, index, count: TEXTS.length, text }));

function failing(choose: Parameters<typeof injectFaults>[1]): MessageChunks {
  const client = localClient();
  injectFaults(client, choose);
  return tables.store({ client }).chunks;
}

describe("message chunks, when each request", () => {
  it.each([
    ["succeeds but its response is lost", RESPONSE_LOST],
    ["is throttled", THROTTLED],
    ["fails", INTERNAL_ERROR],
  ])("%s the first time, return the whole message once", async (_, fault) => {
    const parts = failing(failFirstAttempts(fault));
    const one = async () => {
      const joined = [];
      for (const part of PARTS) joined.push(await parts.add("c1", part, tables.now()));
      return joined;
    };
    expect(await one()).toEqual(["opened", "kept", "kept", "kept", { whole: "abcde" }]);
    const atOnce = PARTS.map((part) => parts.add("c2", { ...part, message: 2 }, tables.now()));
    const wholes = (await Promise.all(atOnce)).filter((joined) => typeof joined === "object");
    expect(wholes).toEqual([{ whole: "abcde" }]);
  });
});

it("closes an aborted message, though the response is lost", async () => {
  const parts = failing(failFirstAttempts(RESPONSE_LOST));
  await parts.add("c1", PARTS[0]!, tables.now());
  // A retry cannot recognize its own write, so it returns false: an error stays unreported, but no message is lost.
  await parts.abort("c1", 1);
  expect(await tables.store().chunks.add("c1", PARTS[1]!, tables.now())).toBe("closed");
});
