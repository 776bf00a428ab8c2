import { beforeEach, describe, expect, it, vi } from "vitest";
import { ChannelTables } from "../../../../test/dynamodb/channel-tables.ts";
import { localClient, MINUTE } from "../../../../test/dynamodb/connection-table.ts";
import { type Fault, injectFaults } from "../../../../test/dynamodb/request-faults.ts";
import { clientWithSteps } from "../../../../test/interleavings/steps.ts";
import { runInEveryOrder, type Step } from "../../../../test/support/interleaving.ts";
import type { ChannelMembers, Presence } from "../../contracts/channel-members.ts";

/** A permanent error, so the call fails immediately. */
const REFUSED: Fault = { exception: "ValidationException", status: 400 };

let tables: ChannelTables;
let plain: ChannelMembers;
let channels: number;

beforeEach(async () => {
  tables = await ChannelTables.create();
  plain = tables.store().members;
  channels = 0;
  // Random pauses end immediately, so that an order can be replayed.
  vi.spyOn(Math, "random").mockReturnValue(0);
});

type Call = readonly ["add" | "remove", connectionId: string];

interface Scene {
  readonly userId?: string | undefined;
  /** Connections whose `add` has resolved. */
  readonly before?: readonly string[];
  readonly calls: readonly Call[];
  /** The call that fails, after a number of requests. */
  readonly broken?: { readonly call: number; readonly after: number };
}

function member(connectionId: string, userId: string | undefined) {
  const [joinedAt, expiresAt] = [tables.now(), tables.now() + 130 * MINUTE];
  const user = userId === undefined ? {} : { userId };
  return { connectionId, ...user, endpoint: "https://api.example.com/test", joinedAt, expiresAt };
}

function membersIn(step: Step, breaksAfter = Number.POSITIVE_INFINITY): ChannelMembers {
  const client = clientWithSteps(localClient(), step);
  let requests = 0;
  injectFaults(client, () => (++requests > breaksAfter ? REFUSED : undefined));
  return tables.store({ client }).members;
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}

/** Reads a channel's members, users, and the channels of a connection. */
async function stateOf(channel: string, ids: readonly string[]) {
  const [pages, users, listed] = await Promise.all([
    all(plain.listMembers(channel, tables.now())),
    all(plain.listPresence(channel, tables.now())),
    Promise.all(ids.map((id) => all(plain.listChannels(id)))),
  ]);
  const members = pages.flatMap((page) => page.members.map(({ connectionId }) => connectionId));
  return {
    members: members.sort(),
    users: users.map(({ userId }) => userId),
    listed: ids.filter((_, at) => listed[at]!.includes(channel)).sort(),
  };
}

/** Runs overlapping calls in every order. Checks each result, and then removes every connection. */
async function playAll(
  { userId, before = [], calls, broken }: Scene,
  check: (state: Awaited<ReturnType<typeof stateOf>>, results: readonly unknown[]) => void,
): Promise<number> {
  const ids = [...new Set([...before, ...calls.map(([, id]) => id)])];
  // One switch finds every fault that was seeded in the code; two switches take ten times as long.
  return runInEveryOrder({ switches: 1 }, async () => {
    const channel = `a${channels++}`;
    for (const id of before) await plain.add(channel, member(id, userId));
    const sides = calls.map(
      ([name, id], at) =>
        async (step: Step): Promise<Presence | boolean | undefined> => {
          const members = membersIn(step, broken?.call === at ? broken.after : undefined);
          const made =
            name === "add" ? members.add(channel, member(id, userId)) : members.remove(channel, id);
          return broken?.call === at ? made.catch(() => undefined) : made;
        },
    );
    return {
      sides,
      check: async (results) => {
        check(await stateOf(channel, ids), results);
        // Like a disconnect: by the list of channels alone.
        for (const id of ids) {
          if ((await all(plain.listChannels(id))).includes(channel)) await plain.remove(channel, id);
        }
        expect(await stateOf(channel, ids)).toMatchObject({ members: [], users: [] });
      },
    };
  });
}

describe.each([undefined, "ada"])("overlapping calls for connections of user %s", (userId) => {
  it.each<[string, Scene]>([
    [
      "an add and a remove",
      {
        calls: [
          ["add", "c1"],
          ["remove", "c1"],
        ],
      },
    ],
    [
      "an add of a member and a remove",
      {
        before: ["c1"],
        calls: [
          ["add", "c1"],
          ["remove", "c1"],
        ],
      },
    ],
    [
      "two adds",
      {
        calls: [
          ["add", "c1"],
          ["add", "c1"],
        ],
      },
    ],
    [
      "two removes",
      {
        before: ["c1"],
        calls: [
          ["remove", "c1"],
          ["remove", "c1"],
        ],
      },
    ],
    [
      "the add and the remove of two tabs",
      {
        before: ["c2"],
        calls: [
          ["add", "c1"],
          ["remove", "c2"],
        ],
      },
    ],
    [
      "two adds and a remove",
      {
        calls: [
          ["add", "c1"],
          ["add", "c1"],
          ["remove", "c1"],
        ],
      },
    ],
  ])("leave a complete membership or none: %s", async (_name, scene) => {
    const played = await playAll({ ...scene, userId }, ({ members, users, listed }) => {
      expect(listed).toEqual(members);
      expect(users).toEqual(userId !== undefined && members.length > 0 ? [userId] : []);
    });
    expect(played).toBeGreaterThanOrEqual(5);
  });

  it.each([1, 2, 3, 4])("leave no member unlisted when an `add` fails after %i requests", async (after) => {
    const broken = { call: 0, after };
    const calls: Call[] = [
      ["add", "c1"],
      ["remove", "c1"],
    ];
    for (const before of [[], ["c1"]]) {
      await playAll({ userId, before, calls, broken }, ({ members, users, listed }) => {
        if (members.length + users.length > 0) expect(listed).toEqual(["c1"]);
      });
    }
  });

  it.each([3, 5])("leave no member unlisted when a `remove` fails after %i requests", async (after) => {
    const broken = { call: 1, after };
    const calls: Call[] = [
      ["add", "c1"],
      ["remove", "c1"],
    ];
    for (const before of [[], ["c1"]]) {
      await playAll({ userId, before, calls, broken }, ({ members, users, listed }) => {
        if (members.length + users.length > 0) expect(listed).toEqual(["c1"]);
      });
    }
  });
});

describe("a user with overlapping calls for tabs", () => {
  it("joins once and leaves once", async () => {
    const twoTabs: Scene = {
      userId: "ada",
      calls: [
        ["add", "c1"],
        ["add", "c2"],
      ],
    };
    await playAll(twoTabs, ({ users }, came) => {
      expect(users).toEqual(["ada"]);
      expect(came.filter((first) => first === true)).toHaveLength(1);
    });
    const bothGo: Scene = {
      userId: "ada",
      before: ["c1", "c2"],
      calls: [
        ["remove", "c1"],
        ["remove", "c2"],
      ],
    };
    await playAll(bothGo, ({ users }, left) => {
      expect(users).toEqual([]);
      expect(left.filter((presence) => presence !== undefined)).toMatchObject([{ userId: "ada" }]);
    });
  });
});
