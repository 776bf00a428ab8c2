import { describe, expect, it, vi } from "vitest";
import { collect, OPEN, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { lambdaContext } from "../../lift/testing/index.ts";
import { memorySchedule } from "../../store/memory/index.ts";

const ROOM = "room:lobby";

async function simulate(options: Parameters<typeof simulateStreamer>[0] = {}) {
  const schedule = memorySchedule();
  const made = simulateStreamer({ schedule, channels: { room: OPEN }, ...options });
  const { streamer, store, now, client, advance } = made;
  const ada = await client("ada-1", { user: "ada" });
  await ada.ask("subscribe", { channels: [{ channel: ROOM }] });
  return {
    ...made,
    ada,
    schedule,
    got: () => ada.pushed("message").map(({ data }) => data),
    left: async () =>
      (await collect(store.history.listPendingFanOuts(now() + 1))).map(({ message }) => message.data),
    /** Ticks, so many ms later. */
    tick: (ms: number, context = lambdaContext()) => {
      advance(ms);
      return streamer.app.tick({ context });
    },
    failOnce: (call: "markDelivered" | "listMembers") => {
      const error = new Error("locked");
      if (call === "markDelivered") vi.spyOn(store.history, call).mockRejectedValueOnce(error);
      else {
        vi.spyOn(store.members, call).mockImplementationOnce(() => {
          throw error;
        });
      }
    },
  };
}

/** Keeps back what is sent until it is told to go on. */
function holdSending({ connections }: Awaited<ReturnType<typeof simulate>>) {
  const waiting: (() => void)[] = [];
  const broadcast = connections.broadcast.bind(connections);
  vi.spyOn(connections, "broadcast").mockImplementation(async (...args) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return broadcast(...args);
  });
  return {
    waiting: () => waiting.length,
    goOn: async (at = 0) => {
      await vi.waitUntil(() => waiting.length > at);
      waiting.splice(at, 1)[0]!();
    },
  };
}

describe("what a fan-out has left while its process runs", () => {
  it("is sent by the tick after, not only at the next start", async () => {
    const { streamer, failOnce, got, left, tick, ada } = await simulate();
    failOnce("listMembers");
    const { id, position } = await streamer.publish(ROOM, "late");
    expect([got(), await left()]).toEqual([[], ["late"]]);
    await tick(999);
    expect(got()).toEqual([]);
    await tick(1);
    expect([got(), await left()]).toEqual([["late"], []]);
    expect(ada.pushed("message")).toMatchObject([{ id, position }]);
  });

  it("is finished, where only that has failed", async () => {
    const { streamer, failOnce, left, tick, ada } = await simulate();
    failOnce("markDelivered");
    const { id } = await streamer.publish(ROOM, 1);
    expect(await left()).toEqual([1]);
    await tick(1_000);
    expect(await left()).toEqual([]);
    // It is sent a second time: a client drops that by the id.
    expect(ada.pushed("message").map((message) => message.id)).toEqual([id, id]);
  });

  it("is tried again less and less often while it keeps failing", async () => {
    const { streamer, store, got, tick, schedule } = await simulate();
    const pages = vi.spyOn(store.members, "listMembers").mockImplementation(() => {
      throw new Error("locked");
    });
    await streamer.publish(ROOM, "late");
    const waits: number[] = [];
    const dueAt = () => schedule.listAll!()[Symbol.iterator]().next().value!.dueAt;
    for (let i = 0; i < 7; i++) {
      const before = dueAt();
      await tick(waits.at(-1) ?? 1_000);
      waits.push(dueAt() - before);
    }
    expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    pages.mockRestore();
    await tick(30_000);
    expect([got(), [...schedule.listAll!()]]).toEqual([["late"], []]);
  });

  it("does not wait for longer because more is left meanwhile", async () => {
    const { streamer, failOnce, got, tick, advance } = await simulate();
    for (const data of [1, 2, 3]) {
      failOnce("listMembers");
      await streamer.publish(ROOM, data);
      advance(333);
    }
    await tick(1);
    expect(got()).toEqual([1, 2, 3]);
  });

  it("is looked for again though the clock is set back by an hour", async () => {
    const { streamer, failOnce, got, tick, advance, schedule } = await simulate();
    failOnce("listMembers");
    await streamer.publish(ROOM, 1);
    advance(-3_600_000);
    // Taken by another process, whose time is over.
    for (const item of schedule.listAll!()) await schedule.delete(item);
    advance(12_000);
    failOnce("listMembers");
    await streamer.publish(ROOM, 2);
    advance(12_000);
    failOnce("listMembers");
    await streamer.publish(ROOM, 3);
    await tick(4_000);
    expect(got()).toEqual([1, 2, 3]);
  });

  it("is looked for again where the schedule took nothing", async () => {
    const { streamer, schedule, failOnce, got, tick, lines } = await simulate();
    vi.spyOn(schedule, "put").mockRejectedValueOnce(new Error("full"));
    for (const data of [1, 2]) {
      failOnce("listMembers");
      await streamer.publish(ROOM, data);
    }
    expect(lines.join()).toContain("A fan-out retry was not scheduled");
    await tick(2_000);
    expect(got()).toEqual([1, 2]);
  });

  it("is gone on with by the next tick where this one has no more time", async () => {
    const { streamer, failOnce, got, tick } = await simulate();
    failOnce("listMembers");
    await streamer.publish(ROOM, 1);
    // Enough for Lift's deadline, and too little for a page.
    await tick(1_000, lambdaContext({ getRemainingTimeInMillis: () => 900 }));
    await tick(30_000);
    expect(got()).toEqual([1]);
  });
});

describe("what is under way", () => {
  it("is not sent by a tick too", async () => {
    const room = await simulate();
    const { streamer, failOnce, got, tick } = room;
    failOnce("listMembers");
    await streamer.publish(ROOM, "left");
    const { goOn, waiting } = holdSending(room);
    const slow = streamer.publish(ROOM, "slow");
    await vi.waitUntil(() => waiting() === 1);
    const ticked = tick(1_000);
    await goOn(1);
    await ticked;
    expect(got()).toEqual(["left"]);
    await goOn();
    await slow;
    expect(got()).toEqual(["left", "slow"]);
  });

  it("is not sent once more for having finished while the list is gone through", async () => {
    const room = await simulate();
    const { streamer, store, failOnce, got, tick } = room;
    const unfinished = store.history.listPendingFanOuts.bind(store.history);
    // A page of it at a time, as a database reads.
    vi.spyOn(store.history, "listPendingFanOuts").mockImplementation(async function* (...args) {
      yield* await collect(unfinished(...args));
    });
    failOnce("listMembers");
    await streamer.publish(ROOM, "left");
    const { goOn, waiting } = holdSending(room);
    const slow = streamer.publish(ROOM, "slow");
    await vi.waitUntil(() => waiting() === 1);
    const ticked = tick(1_000);
    await vi.waitUntil(() => waiting() === 2);
    await goOn();
    await slow;
    await goOn();
    await ticked;
    expect(got()).toEqual(["slow", "left"]);
  });
});

it("is left to the table's stream where there is one", async () => {
  const { streamer, store, failOnce, schedule } = await simulate();
  Object.assign(store.history, {
    parseTableStreamImage: () => undefined,
    getPendingFanOut: async () => undefined,
  });
  failOnce("listMembers");
  await streamer.publish(ROOM, 1);
  expect([...schedule.listAll!()]).toEqual([]);
});
