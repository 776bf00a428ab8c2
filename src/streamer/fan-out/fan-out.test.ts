import { expect, it } from "vitest";
import type { ChannelMembers, Member } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { FanOut } from "./fan-out.ts";

const HOUR_MS = 60 * 60_000;

const member = (connectionId: string, endpoint = "e1") => ({ connectionId, endpoint }) as Member;

/** A fan-out to pages of members, which records what it sends. */
function setUp(pages: Member[][], report: (ids: readonly string[]) => object = () => ({})) {
  const sent: unknown[] = [];
  const starts: unknown[] = [];
  async function* listMembers(key: string, now: number, start?: string) {
    starts.push([key, now, start]);
    for (const [at, members] of pages.entries()) {
      yield at === pages.length - 1 ? { members } : { members, cursor: `page ${at}` };
    }
  }
  const broadcast = async (endpoint: string, ids: string[], frame: string) => {
    sent.push([endpoint, ids, frame]);
    return report(ids);
  };
  const fanOut = new FanOut({ listMembers } as unknown as ChannelMembers, () => HOUR_MS + 7);
  return { sent, starts, fanOut, context: { broadcast } as unknown as CallContext };
}

it("sends each page to the members of each endpoint, and reports progress between pages", async () => {
  const { fanOut, sent, starts, context } = setUp([
    [member("a"), member("b", "e2"), member("c")],
    [member("d")],
    [],
  ]);
  const cursors: string[] = [];
  const onPage = async (cursor: string) => cursors.push(cursor);
  expect(await fanOut.send("key", "frame", context, { cursor: "start", onPage })).toEqual({
    complete: true,
    gone: [],
  });
  expect(starts).toEqual([["key", 7, "start"]]);
  expect(sent).toEqual([
    ["e1", ["a", "c"], "frame"],
    ["e2", ["b"], "frame"],
    ["e1", ["d"], "frame"],
  ]);
  expect(cursors).toEqual(["page 0", "page 1"]);
});

it("sends to members that are live if this clock is up to an hour ahead", async () => {
  const { fanOut, starts, context } = setUp([[]]);
  await fanOut.send("key", "frame", context);
  expect(starts).toEqual([["key", 7, undefined]]);
});

it("leaves out one connection", async () => {
  const { fanOut, sent, context } = setUp([[member("a"), member("b")]]);
  await fanOut.send("key", "frame", context, { others: "a" });
  expect(sent).toEqual([["e1", ["b"], "frame"]]);
});

it("returns the members that have ended, and no others", async () => {
  const outcomes = { a: "sent", b: "gone", c: "failed", d: "gone" } as { [id: string]: string };
  const { fanOut, context } = setUp([[member("a"), member("b"), member("c")], [member("d")]], (ids) => ({
    results: ids.map((connectionId) => ({ connectionId, outcome: outcomes[connectionId] })),
  }));
  expect(await fanOut.send("key", "frame", context)).toEqual({ complete: true, gone: ["b", "d"] });
});

it("stops when its time is over, and keeps what it knows", async () => {
  const { fanOut, sent, context } = setUp([[member("a"), member("b", "e2")], [member("c")]], () => ({
    results: [{ connectionId: "a", outcome: "gone" }],
    remaining: [],
  }));
  const cursors: string[] = [];
  const onPage = async (cursor: string) => cursors.push(cursor);
  expect(await fanOut.send("key", "frame", context, { onPage })).toEqual({ complete: false, gone: ["a"] });
  expect([sent.length, cursors]).toEqual([1, []]);
});
