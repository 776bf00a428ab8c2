import type { DynamoDBClient, TransactWriteItemsInput } from "@aws-sdk/client-dynamodb";
import { DeleteItemCommand, DeleteTableCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { beforeEach, describe, expect, it } from "vitest";
import { ChannelTables } from "../../../../test/dynamodb/channel-tables.ts";
import { localClient, MINUTE } from "../../../../test/dynamodb/connection-table.ts";
import {
  type Fault,
  failFirstAttempts,
  INTERNAL_ERROR,
  injectFaults,
  RESPONSE_LOST,
  THROTTLED,
  TRANSACTION_CONFLICT,
} from "../../../../test/dynamodb/request-faults.ts";
import type { NewMessage } from "../../contracts/channel-history.ts";
import { createTables, type DynamoDBChannelStoreOptions } from "../index.ts";

const BOUNDS = { size: 100, ageMs: 5 * MINUTE };

let tables: ChannelTables;

beforeEach(async () => {
  tables = await ChannelTables.create();
});

const message = (id: string, overrides: Partial<NewMessage> = {}): NewMessage => ({
  id,
  data: { id },
  at: tables.now(),
  ...overrides,
});
const historyBy = (client: DynamoDBClient, options: Partial<DynamoDBChannelStoreOptions> = {}) =>
  tables.store({ client, ...options }).history;

/** Creates a history with the faults that `choose` selects. */
function failing(choose: Parameters<typeof injectFaults>[1]) {
  const client = localClient();
  injectFaults(client, choose);
  return historyBy(client);
}

async function ids(channel = "a", history = tables.store().history): Promise<string[]> {
  const page = await history.read(channel, { after: 0, limit: 1_000, retention: BOUNDS, now: tables.now() });
  return page.messages.map(({ id }) => id);
}

const all = (length: number) => Array.from({ length }, (_, n) => `m${n + 1}`);

describe("history in DynamoDB", () => {
  it.each<[string, Fault]>([
    ["is throttled", THROTTLED],
    ["fails", INTERNAL_ERROR],
    ["succeeds but loses its response", RESPONSE_LOST],
  ])("stores each message once when every call %s the first time", async (_what, fault) => {
    const history = failing(failFirstAttempts(fault));
    for (const [n, id] of all(3).entries()) {
      const key = id === "m2" ? { key: "k" } : {};
      expect(await history.append("a", message(id, key), BOUNDS)).toMatchObject({
        duplicate: false,
        message: { id, offset: n + 1 },
      });
    }
    expect(await history.append("a", message("again", { key: "k" }), BOUNDS)).toMatchObject({
      duplicate: true,
      message: { id: "m2", offset: 2 },
    });
    await history.checkpoint("a", 1, "here");
    await history.markDelivered("a", 2);
    expect(await history.getPendingFanOut("a", 1)).toMatchObject({ message: { id: "m1" }, cursor: "here" });
    expect(await history.getPendingFanOut("a", 2)).toBeUndefined();
    expect(await ids("a", history)).toEqual(all(3));
  });

  it.each([{}, { key: "k" }])(
    "finds a stored message %o after a lost response, even when its token has expired",
    async (key) => {
      const client = localClient();
      const isLost = failFirstAttempts(RESPONSE_LOST);
      injectFaults(client, ({ operation, input }) =>
        operation === "TransactWriteItems" ? isLost({ operation, input }) : undefined,
      );
      client.middlewareStack.add(
        (next) => (args) => {
          delete (args.input as TransactWriteItemsInput).ClientRequestToken;
          return next(args);
        },
        { step: "initialize", priority: "low" },
      );
      const history = historyBy(client);
      expect(await history.append("a", message("m1", key), BOUNDS)).toMatchObject({
        duplicate: false,
        message: { id: "m1", offset: 1, data: { id: "m1" } },
      });
      expect(await ids()).toEqual(["m1"]);
    },
  );

  it("retries a transaction with its token, and gives every other one its own", async () => {
    const tokens: (string | undefined)[] = [];
    const isLost = failFirstAttempts(RESPONSE_LOST);
    const history = failing(({ operation, input }) => {
      if (operation !== "TransactWriteItems") return undefined;
      tokens.push((input as TransactWriteItemsInput).ClientRequestToken);
      return isLost({ operation, input });
    });
    for (const id of all(2)) await history.append("a", message(id), BOUNDS);
    expect(tokens).toHaveLength(4);
    expect(tokens[0]).toEqual(expect.any(String));
    expect(tokens[1]).toBe(tokens[0]);
    expect(tokens[3]).toBe(tokens[2]);
    expect(tokens[2]).not.toBe(tokens[0]);
  });

  it("retries a transaction after a conflict", async () => {
    let conflicts = 3;
    const history = failing(({ operation }) =>
      operation === "TransactWriteItems" && conflicts-- > 0 ? TRANSACTION_CONFLICT : undefined,
    );
    expect(await history.append("a", message("m1", { key: "k" }), BOUNDS)).toMatchObject({
      message: { offset: 1 },
    });
    expect(conflicts).toBeLessThan(0);
  });

  it("appendAfter succeeds for one of many concurrent processes, though calls fail or lose their responses", async () => {
    const processes = [
      ...Array.from({ length: 4 }, () => tables.store().history),
      failing(failFirstAttempts(RESPONSE_LOST)),
      failing(failFirstAttempts(THROTTLED)),
    ];
    const head = await processes[0]!.readHead("a");
    const tries = processes.flatMap((history, process) =>
      Array.from({ length: 20 }, (_, n) =>
        history.appendAfter("a", head, message(`${process}-${n}`), BOUNDS),
      ),
    );
    const appended = (await Promise.all(tries)).filter((each) => each !== undefined);
    expect(appended).toHaveLength(1);
    expect(await ids()).toEqual([appended[0]?.message.id]);
  });

  it("appendAfter accepts a head that another process wrote between two calls of this one", async () => {
    const other = tables.store().history;
    const { epoch } = await other.readHead("a");
    const client = localClient();
    let isFirst = true;
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const output = await next(args);
        if (context.commandName === "TransactWriteItemsCommand" && isFirst) {
          isFirst = false;
          await other.append("a", message("m2"), BOUNDS);
        }
        return output;
      },
      { step: "initialize" },
    );
    const history = historyBy(client);
    const first = history.append("a", message("m1"), BOUNDS);
    const second = history.appendAfter("a", { epoch, offset: 2 }, message("m3"), BOUNDS);
    expect((await first).message.offset).toBe(1);
    expect((await second)?.message.offset).toBe(3);
  });

  it("appendAfter reports its append after a lost response", async () => {
    const history = failing(failFirstAttempts(RESPONSE_LOST));
    const head = await history.readHead("a");
    expect(await history.appendAfter("a", head, message("m1"), BOUNDS)).toMatchObject({
      duplicate: false,
      message: { id: "m1", offset: 1 },
    });
    expect(await history.appendAfter("a", head, message("m2"), BOUNDS)).toBeUndefined();
  });

  it("skips no offset when processes append concurrently", async () => {
    const processes = Array.from({ length: 6 }, () => tables.store().history);
    const appended = await Promise.all(
      processes.flatMap((history, n) =>
        Array.from({ length: 5 }, (_, k) => history.append("a", message(`m${n}-${k}`), BOUNDS)),
      ),
    );
    const offsets = appended.map((each) => each.message.offset).sort((a, b) => a - b);
    expect(offsets).toEqual(Array.from({ length: 30 }, (_, n) => n + 1));
    expect(new Set(await ids()).size).toBe(30);
  });

  it("reads the head once when one process appends many messages concurrently", async () => {
    let reads = 0;
    const history = failing(({ operation }) => {
      if (operation === "GetItem") reads++;
      return undefined;
    });
    await history.append("a", message("m1"), BOUNDS);
    reads = 0;
    await Promise.all(all(10).map((id) => history.append("a", message(id), BOUNDS)));
    expect(reads).toBe(1);
    await history.append("a", message("last"), BOUNDS);
    expect(reads).toBe(2);
  });

  it("waits for other appends of its process only until the caller's deadline", async () => {
    let isHung = true;
    const history = failing(({ operation }) =>
      isHung && operation === "TransactWriteItems" ? THROTTLED : undefined,
    );
    const first = history.append("a", message("m1"), BOUNDS);
    const budget = { getRemainingTimeInMillis: () => 500 };
    await expect(history.append("a", message("m2"), BOUNDS, budget)).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    isHung = false;
    expect((await first).message.offset).toBe(1);
  });

  it("rejects before its caller's deadline, on every call, and writes nothing", async () => {
    const history = failing(() => THROTTLED);
    const budget = { getRemainingTimeInMillis: () => 500 };
    const calls = [
      history.append("a", message("m1"), BOUNDS, budget),
      history.read("a", { limit: 1, retention: BOUNDS, now: tables.now() }, budget),
      history.readHead("a", budget),
      history.markDelivered("a", 1, budget),
      history.checkpoint("a", 1, "here", budget),
      history.getPendingFanOut("a", 1, budget),
    ];
    const unavailable = { status: "rejected", reason: { code: "STORE_UNAVAILABLE" } };
    expect(await Promise.allSettled(calls)).toMatchObject(calls.map(() => unavailable));
    expect(await tables.readItems("messages")).toEqual([]);
  });

  it("throws STORE_UNAVAILABLE when other appends keep taking the offset", async () => {
    const other = tables.store().history;
    const client = localClient();
    let n = 0;
    client.middlewareStack.add(
      (next, context) => async (args) => {
        if (context.commandName === "TransactWriteItemsCommand") {
          await other.append("a", message(`other-${n++}`), BOUNDS);
        }
        return next(args);
      },
      { step: "initialize" },
    );
    const racing = historyBy(client, { timeoutMs: 400 });
    await expect(racing.append("a", message("mine"), BOUNDS)).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    expect(await ids()).not.toContain("mine");
  });

  it("stores nothing for a channel that is only read", async () => {
    const { history } = tables.store();
    for (const channel of all(20)) await history.readHead(channel);
    expect(await tables.readItems("messages")).toHaveLength(1);
    expect(await tables.store().history.readHead("m1")).toEqual(await history.readHead("m1"));
  });
});

describe("a message that is still being written", () => {
  /**
   * Creates a history whose first `times` queries do not return the hidden messages, like a transaction whose writes
   * are becoming visible.
   */
  function hiding(hidden: readonly string[], times = 1, options: Partial<DynamoDBChannelStoreOptions> = {}) {
    const client = localClient();
    const seen = { queries: 0 };
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const answer = await next(args);
        if (context.commandName !== "QueryCommand" || ++seen.queries > times) return answer;
        const output = answer.output as { Items?: Record<string, { S?: string }>[] };
        const isHidden = (text = "") => hidden.some((id) => text.includes(`"${id}"`));
        output.Items = output.Items?.filter(({ Message }) => !isHidden(Message?.S)) ?? [];
        return answer;
      },
      { step: "initialize" },
    );
    return { history: historyBy(client, options), seen };
  }

  const fill = async () => {
    const { history } = tables.store();
    for (const id of all(5)) await history.append("a", message(id), BOUNDS);
  };

  it.each([
    ["the last", ["m5"], {}],
    ["the last, after the one before it", ["m5"], { after: 4 }],
    ["one in the middle", ["m3"], {}],
    ["one in the middle, from there on", ["m3"], { after: 1 }],
    ["the next", ["m3", "m4"], { after: 2 }],
    ["the oldest", ["m1"], {}],
    ["all", all(5), {}],
  ])("is awaited: %s", async (_which, hidden, query) => {
    await fill();
    const { history, seen } = hiding(hidden);
    const asked = { limit: 100, retention: BOUNDS, now: tables.now(), ...query };
    expect(await history.read("a", asked)).toEqual(await tables.store().history.read("a", asked));
    expect(seen.queries).toBe(2);
  });

  it("is not skipped when it stays invisible until the deadline", async () => {
    await fill();
    const { history } = hiding(["m3"], Number.POSITIVE_INFINITY, { timeoutMs: 500 });
    const asked = { after: 2, limit: 100, retention: BOUNDS, now: tables.now() };
    await expect(history.read("a", asked)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });

  it("differs from a removed message, which is not waited for", async () => {
    await fill();
    tables.advance(MINUTE);
    await tables.store().history.append("a", message("m6"), BOUNDS);
    const { history, seen } = hiding(all(5), 1_000);
    const asked = { after: 2, limit: 100, retention: BOUNDS, now: tables.now() };
    expect(await history.read("a", asked)).toMatchObject({
      head: { offset: 6 },
      messages: [{ id: "m6" }],
    });
    expect(seen.queries).toBe(1);
  });

  it("is ignored outside the query's range", async () => {
    await fill();
    const { history, seen } = hiding([]);
    const asked = { retention: BOUNDS, now: tables.now() };
    for (const query of [{ limit: 2 }, { limit: 2, after: 1 }, { limit: 2, before: 5 }]) {
      await history.read("a", { ...asked, ...query });
    }
    expect(seen.queries).toBe(3);
    await history.read("a", { ...asked, limit: 2, after: 5 });
    expect(seen.queries).toBe(3);
  });
});

describe("retention of history in DynamoDB", () => {
  it("reads more than one page of DynamoDB", async () => {
    const { history } = tables.store();
    const data = "x".repeat(300_000);
    for (const id of all(7)) await history.append("a", message(id, { data }), BOUNDS);
    const asked = { retention: BOUNDS, now: tables.now() };
    const offsets = async (query: object) =>
      (await history.read("a", { ...asked, limit: 6, ...query })).messages.map(({ offset }) => offset);
    expect(await offsets({})).toEqual([2, 3, 4, 5, 6, 7]);
    expect(await offsets({ after: 0 })).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("keeps a message from a slow clock as long as the one before it", async () => {
    const { history } = tables.store();
    const start = tables.now();
    for (const [n, late] of [20, 10, 30].entries()) {
      await history.append("a", message(`m${n + 1}`, { at: start + late }), BOUNDS);
    }
    const kept = async (now: number) => {
      const page = await history.read("a", { after: 0, limit: 10, retention: BOUNDS, now });
      return page.messages.map(({ at }) => at - start);
    };
    expect(await kept(start + BOUNDS.ageMs + 19)).toEqual([20, 10, 30]);
    expect(await kept(start + BOUNDS.ageMs + 20)).toEqual([30]);
  });

  it("gives messages and keys a TTL, and never a head", async () => {
    const { history } = tables.store();
    const at = tables.now();
    await history.append("a", message("m1", { key: "k" }), BOUNDS);
    await history.append("a", message("m2"), { size: 1, ageMs: 24 * 60 * MINUTE });
    await history.append("a", message("m3"), { size: 1, ageMs: Number.POSITIVE_INFINITY });
    const expiries = (await tables.readItems("messages")).map(({ Item, ExpiresAt }) => [
      Item?.S?.replace(/(?<=^key\/).*/, ""),
      ExpiresAt && (Number(ExpiresAt.N) - at / 1_000) / 60,
    ]);
    expect(Object.fromEntries(expiries)).toEqual({
      life: undefined,
      head: undefined,
      "key/": 5,
      "message/0000000000000001": 60,
      "message/0000000000000002": 24 * 60,
      "message/0000000000000003": undefined,
    });
  });

  it("parses a pending fan-out from the stored item, and its current cursor", async () => {
    const { history } = tables.store();
    const channel = '["t","room:a"]';
    const { epoch, message: stored } = await history.append(channel, message("m1", { key: "k" }), BOUNDS);
    const told = async () =>
      (await tables.readItems("messages")).flatMap((item) => history.parseTableStreamImage(item) ?? []);
    const unfinished = { channel, epoch, message: stored };
    expect(await told()).toEqual([unfinished]);
    expect(await history.getPendingFanOut(channel, 1)).toEqual(unfinished);
    await history.checkpoint(channel, 1, "here");
    expect(await told()).toEqual([]);
    expect(await history.getPendingFanOut(channel, 1)).toEqual({ ...unfinished, cursor: "here" });
    await history.markDelivered(channel, 1);
    expect(await told()).toEqual([]);
    expect(await history.getPendingFanOut(channel, 1)).toBeUndefined();
    expect(await history.getPendingFanOut(channel, 2)).toBeUndefined();
  });

  it.each<[string, () => Promise<unknown>]>([
    [
      "was created anew",
      async () => {
        const { messageTableName } = tables;
        const client = localClient();
        await client.send(new DeleteTableCommand({ TableName: messageTableName }));
        await createTables({ client, messageTableName });
      },
    ],
    [
      "was restored as documented",
      async () => {
        const items = await tables.readItems("messages");
        const lost = items.filter(({ Item }) => Item?.S === "head" || Item?.S === "life");
        const client = localClient();
        const remove = ({ Channel, Item }: (typeof items)[number]) => {
          const Key = { Channel: Channel!, Item: Item! };
          return client.send(new DeleteItemCommand({ TableName: tables.messageTableName, Key }));
        };
        await Promise.all(lost.map(remove));
      },
    ],
  ])("starts new epochs for running and new processes when its table %s", async (_how, lose) => {
    const running = tables.store().history;
    const idle = tables.store().history;
    const before = [];
    for (const id of all(5)) before.push(await running.append("a", message(id, { key: id }), BOUNDS));
    const { epoch: unused } = await idle.readHead("b");
    await lose();
    const first = await running.append("a", message("after", { key: "m1" }), BOUNDS);
    expect(first).toMatchObject({ duplicate: false, message: { offset: 1 } });
    expect(first.epoch).not.toBe(before[0]?.epoch);
    const heads = [idle, running, tables.store().history].map((history) => history.readHead("a"));
    for (const head of await Promise.all(heads)) expect(head).toEqual({ epoch: first.epoch, offset: 1 });
    const epochs = [idle, running, tables.store().history].map(
      async (history) => (await history.readHead("b")).epoch,
    );
    const others = new Set(await Promise.all(epochs));
    expect(others.size).toBe(1);
    expect(others).not.toContain(unused);
    expect(await ids()).toEqual(["after"]);
  });

  it("reads the head again after an append that failed on a missing head", async () => {
    const running = tables.store().history;
    const { epoch } = await running.readHead("a");
    const client = localClient();
    let isFirst = true;
    const history = historyBy(client);
    const Key = { Channel: { S: "life" }, Item: { S: "life" } };
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const output = await next(args);
        if (
          isFirst &&
          context.commandName === "GetItemCommand" &&
          JSON.stringify(args.input).includes('"life"')
        ) {
          isFirst = false;
          await localClient().send(new DeleteItemCommand({ TableName: tables.messageTableName, Key }));
        }
        return output;
      },
      { step: "initialize" },
    );
    const refused = history.appendAfter("a", { epoch, offset: 1 }, message("m1"), BOUNDS);
    const made = history.append("a", message("m2"), BOUNDS);
    expect(await refused).toBeUndefined();
    expect((await made).epoch).not.toBe(epoch);
  });

  it("ignores messages of a lost epoch", async () => {
    const { history } = tables.store();
    for (const id of all(3)) await history.append("a", message(id, { key: id }), BOUNDS);
    const head = { Channel: { S: ":a" }, Item: { S: "head" }, Epoch: { S: "new" }, Offset: { N: "1" } };
    const Item = { ...head, PublishedAt: { N: String(tables.now() - MINUTE) } };
    await localClient().send(new PutItemCommand({ TableName: tables.messageTableName, Item }));
    expect(await history.append("a", message("next", { key: "m1" }), BOUNDS)).toMatchObject({
      epoch: "new",
      duplicate: false,
      message: { offset: 2 },
    });
    expect(await ids()).toEqual(["next"]);
  });

  it("names the malformed item, but not its content", async () => {
    const Item = { Channel: { S: ":a" }, Item: { S: "head" }, Epoch: { S: "secret" } };
    await localClient().send(new PutItemCommand({ TableName: tables.messageTableName, Item }));
    await expect(tables.store().history.readHead("a")).rejects.toMatchObject({
      code: "BAD_ROW",
      message: 'Item [":a","head"] is malformed; delete or repair it',
    });
  });
});
