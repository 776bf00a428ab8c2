import { describe, expect, it, vi } from "vitest";
import { collect, OPEN, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { lambdaContext } from "../../lift/testing/index.ts";
import { memorySchedule } from "../../store/memory/index.ts";
import type { CallContext } from "../call-context.ts";
import { FanOutRetry } from "./fan-out-retry.ts";

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
    /** Advances the clock by this many ms, then ticks. */
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

/** Holds all broadcasts until they are released. */
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

describe("a failed fan-out", () => {
  it("is retried by the next tick", async () => {
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

  it("is marked as delivered when only that had failed", async () => {
    const { streamer, failOnce, left, tick, ada } = await simulate();
    failOnce("markDelivered");
    const { id } = await streamer.publish(ROOM, 1);
    expect(await left()).toEqual([1]);
    await tick(1_000);
    expect(await left()).toEqual([]);
    // It is sent a second time; clients drop the duplicate by its ID.
    expect(ada.pushed("message").map((message) => message.id)).toEqual([id, id]);
  });

  it("is retried with backoff", async () => {
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

  it("is not postponed by further failures", async () => {
    const { streamer, failOnce, got, tick, advance } = await simulate();
    for (const data of [1, 2, 3]) {
      failOnce("listMembers");
      await streamer.publish(ROOM, data);
      advance(333);
    }
    await tick(1);
    expect(got()).toEqual([1, 2, 3]);
  });

  it("is retried after the clock was set back by an hour", async () => {
    const { streamer, failOnce, got, tick, advance, schedule } = await simulate();
    failOnce("listMembers");
    await streamer.publish(ROOM, 1);
    advance(-3_600_000);
    // Another process takes the item and runs out of time.
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

  it("schedules its retry again after the schedule failed", async () => {
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

  it("is continued by the next tick when this one runs out of time", async () => {
    const { streamer, failOnce, got, tick } = await simulate();
    failOnce("listMembers");
    await streamer.publish(ROOM, 1);
    // Enough for Lift's deadline, and too little for a page.
    await tick(1_000, lambdaContext({ getRemainingTimeInMillis: () => 900 }));
    await tick(30_000);
    expect(got()).toEqual([1]);
  });
});

describe("a running fan-out", () => {
  it("is not retried by a tick", async () => {
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

  it("is not retried when it completes while the pending ones are listed", async () => {
    const room = await simulate();
    const { streamer, store, failOnce, got, tick } = room;
    const unfinished = store.history.listPendingFanOuts.bind(store.history);
    // Reads one page at a time, as a database does.
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

it("a failed fan-out is not retried when the store has a table stream", async () => {
  const { streamer, store, failOnce, schedule } = await simulate();
  Object.assign(store.history, {
    parseTableStreamImage: () => undefined,
    getPendingFanOut: async () => undefined,
  });
  failOnce("listMembers");
  await streamer.publish(ROOM, 1);
  expect([...schedule.listAll!()]).toEqual([]);
});

describe("the delay of a retry", () => {
  function setUp() {
    let time = 0;
    const schedule = memorySchedule();
    const retry = new FanOutRetry(schedule, () => time);
    const context = {} as CallContext;
    return {
      retry,
      schedule: () => retry.schedule(context),
      /** Runs the due retry, whose fan-out fails again. */
      failAgain: () => retry.run(() => retry.schedule(context)),
      advance: (ms: number) => {
        time += ms;
      },
      delays: () => [...(schedule.listAll?.() ?? [])].map(({ dueAt }) => dueAt - time),
    };
  }

  it("doubles with each failure up to 30 s, and is reset by a success", async () => {
    const { retry, schedule, failAgain, delays } = setUp();
    await schedule();
    const seen = [...delays()];
    for (let times = 0; times < 5; times++) {
      await failAgain();
      seen.push(...delays());
    }
    expect(seen).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
    await retry.run(async () => {});
    await schedule();
    expect(delays()).toEqual([1_000]);
  });

  it("begins anew when the retry is overdue by 10 s, because another process may have taken it", async () => {
    const { schedule, advance, delays } = setUp();
    await schedule();
    advance(1_000 + 9_999);
    await schedule();
    expect(delays()).toEqual([-9_999]);
    advance(1);
    await schedule();
    expect(delays()).toEqual([2_000]);
  });
});
