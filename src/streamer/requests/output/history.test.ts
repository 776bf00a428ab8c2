import { describe, expect, it, vi } from "vitest";
import type { HistoryQuery, OutputItem, OutputPage, StoredMessage } from "../../../store/index.ts";
import { memoryChannelStore } from "../../../store/memory/index.ts";
import { firstOffsetOf } from "../../readable-history.ts";
import { toRequestChannelKey, toRequestKey } from "../request-keys.ts";
import { OutputHistory } from "./history.ts";

const ADA = { tenantId: "acme", userId: "ada" };

/** Stores the output of a request, and returns how to read it. */
async function output(items: number, dataAt: (offset: number) => OutputItem["data"]) {
  const { history, requests } = memoryChannelStore();
  const [key, at] = [toRequestKey(ADA, "r1"), 1];
  const lease = { ...key, token: "t1" };
  const times = { createdAt: at, dueAt: at };
  await requests!.create({
    ...key,
    ...times,
    ...{ action: "answer", input: null, tenant: "acme", identity: {}, priority: 0 },
  });
  await requests!.claim(lease, { now: at, leaseUntil: at });
  for (let offset = 1; offset <= items; offset++) {
    await requests!.append(lease, { offset, data: dataAt(offset), chunks: offset, bytes: 10 * offset, at });
  }
  const readOutput = vi.spyOn(requests!, "readOutput");
  const reader = new OutputHistory(history, requests!);
  const retention = { size: 0, ageMs: 0 };
  return {
    read: (query: Partial<HistoryQuery>) =>
      reader.read(toRequestChannelKey(ADA, "r1"), { limit: 100, retention, now: at, ...query }),
    async itemsRead() {
      const pages = await Promise.all(readOutput.mock.results.map(({ value }) => value as OutputPage));
      return pages.flatMap(({ items: each }) => each).length;
    },
  };
}

const word = (offset: number) => ({ text: `${offset} ` });
const line = (offset: number) => ({ text: `${offset} `.padEnd(4_096, "x") });
const alternating = (offset: number) => (offset % 2 === 1 ? word(offset) : { values: [offset] });

const textOf = (messages: readonly StoredMessage[]) =>
  messages.map(({ data }) => (data as { text: string }).text).join("");
const words = (count: number) => Array.from({ length: count }, (_, n) => `${n + 1} `).join("");

describe("an output of more than 1,000 items", () => {
  it("is read backwards until its first item", async () => {
    const { read } = await output(3_000, word);
    const found: StoredMessage[] = [];
    for (let before: number | undefined, more = true; more; before = firstOffsetOf(found[0]!)) {
      const page = await read(before === undefined ? {} : { before });
      expect(page.head.offset).toBe(3_000);
      expect(page.messages.at(-1)?.offset).toBe((before ?? 3_001) - 1);
      found.unshift(...page.messages);
      more = page.more;
    }
    expect(textOf(found)).toBe(words(3_000));
    expect(await read({ before: 1 })).toMatchObject({ messages: [], more: false });
    expect(await read({ before: 2 })).toMatchObject({ messages: [{ data: { text: "1 " } }], more: false });
  });

  it("is read forwards until its last item", async () => {
    const { read } = await output(3_000, word);
    const found: StoredMessage[] = [];
    for (let more = true; more; ) {
      const after = found.at(-1)?.offset ?? 0;
      const page = await read({ after });
      expect(firstOffsetOf(page.messages[0]!)).toBe(after + 1);
      found.push(...page.messages);
      more = page.more;
    }
    expect(textOf(found)).toBe(words(3_000));
    expect(await read({ after: 3_000 })).toMatchObject({ messages: [], more: false });
  });
});

/** Texts and values in turns of 45 items; each seventh item is empty, as after a take-over. */
function mixed(offset: number): OutputItem["data"] {
  if (offset % 7 === 0) return {};
  return Math.floor(offset / 45) % 2 === 0 ? word(offset) : { values: [offset] };
}

describe("an output of texts, values and empty items", () => {
  const offsets = Array.from({ length: 300 }, (_, n) => n + 1);
  const contents = (messages: readonly StoredMessage[]) =>
    messages.flatMap(({ data }) => {
      const { text = "", values = [] } = data as { text?: string; values?: number[] };
      return [...(text.match(/\d+/g) ?? []), ...values].map(Number);
    });
  const readFrom = {
    forwards: (end: StoredMessage | undefined) => ({ after: end?.offset ?? 0 }),
    backwards: (end: StoredMessage | undefined) => (end ? { before: firstOffsetOf(end) } : {}),
  };

  it.each(["forwards", "backwards"] as const)("is read whole, in few messages: %s", async (direction) => {
    const { read } = await output(300, mixed);
    const found: StoredMessage[] = [];
    for (let more = true; more; ) {
      const page = await read({
        ...readFrom[direction](found.at(direction === "forwards" ? -1 : 0)),
        limit: 2,
      });
      found.splice(direction === "forwards" ? found.length : 0, 0, ...page.messages);
      more = page.more;
    }
    expect(found.map(firstOffsetOf)).toEqual([1, ...found.slice(0, -1).map(({ offset }) => offset + 1)]);
    expect(contents(found)).toEqual(offsets.filter((offset) => offset % 7 !== 0));
    expect(found.length).toBeLessThanOrEqual(10);
  });
});

describe("a page of an output", () => {
  it.each([
    ["forwards", { after: 0 }],
    ["backwards", {}],
  ])("loads no more items than a response holds: %s", async (_, query) => {
    const { read, itemsRead } = await output(300, line);
    expect(await read(query)).toMatchObject({ more: true });
    expect(await itemsRead()).toBe(100);
  });

  it.each([
    ["forwards", { after: 0 }, [1, 2, 3]],
    ["backwards", {}, [298, 299, 300]],
  ])("loads no more items than its limit takes: %s", async (_, query, offsets) => {
    const { read, itemsRead } = await output(300, alternating);
    const { messages, more } = await read({ ...query, limit: 3 });
    expect([messages.map(({ offset }) => offset), more]).toEqual([offsets, true]);
    expect(await itemsRead()).toBe(100);
  });

  it.each([
    ["after 10", { after: 10 }, [11, 250]],
    ["before 10", { before: 10 }, [1, 9]],
    ["between them", { after: 3, before: 110 }, [4, 109]],
    ["neither", {}, [1, 250]],
  ])("joins the rest of a short output, across reads: %s", async (_, query, range) => {
    const { read } = await output(250, word);
    const { messages, more } = await read(query);
    expect([messages.map((message) => [firstOffsetOf(message), message.offset]), more]).toEqual([
      [range],
      false,
    ]);
  });
});
