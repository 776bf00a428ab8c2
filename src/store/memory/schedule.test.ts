import { describe, expect, it } from "vitest";
import { scheduleProperties } from "../../../test/stores/schedule-properties.ts";
import { scheduleCases } from "../contracts/cases.ts";
import type { ScheduledItem } from "../contracts/schedule.ts";
import { memorySchedule } from "./index.ts";

scheduleCases({ describe, it }, "memory schedule", memorySchedule);
scheduleProperties("memory schedule", memorySchedule);

describe("memory schedule", () => {
  const WEEK = 7 * 24 * 60 * 60 * 1000;
  const item = { kind: "test", id: "a", dueAt: 1_000, data: { list: [1] } };

  async function dueAt(schedule: ReturnType<typeof memorySchedule>, now: number): Promise<ScheduledItem[]> {
    const items: ScheduledItem[] = [];
    for await (const each of schedule.listDue(now)) items.push(each);
    return items;
  }

  it("drops an item a week after it was due", async () => {
    const schedule = memorySchedule();
    await schedule.put(item);
    expect(await dueAt(schedule, item.dueAt + WEEK - 1)).toHaveLength(1);
    expect(await dueAt(schedule, item.dueAt + WEEK)).toEqual([]);
    expect(await dueAt(schedule, item.dueAt)).toEqual([]);
  });

  it("drops a failed item a week after it was due, and a dead letter a week later", async () => {
    const schedule = memorySchedule();
    await schedule.put(item);
    await schedule.put({ ...item, id: "b" });
    const at = item.dueAt + WEEK - 1;
    await schedule.recordFailure(item, { failures: 1, cause: "", at, dueAt: at });
    await schedule.recordFailure({ ...item, id: "b" }, { failures: 1, cause: "", at });
    const letters = async () => {
      const found: string[] = [];
      for await (const { id } of schedule.listDeadLetters()) found.push(id);
      return found;
    };
    expect(await dueAt(schedule, at)).toHaveLength(1);
    expect(await dueAt(schedule, at + 1)).toEqual([]);
    expect([await dueAt(schedule, at + WEEK - 1), await letters()]).toEqual([[], ["b"]]);
    expect([await dueAt(schedule, at + WEEK), await letters()]).toEqual([[], []]);
  });

  it("lists the oldest item first", async () => {
    const schedule = memorySchedule();
    for (const dueAt of [3, 1, 2]) await schedule.put({ ...item, id: String(dueAt), dueAt });
    expect((await dueAt(schedule, 3)).map(({ id }) => id)).toEqual(["1", "2", "3"]);
  });

  it("lists all items, due or not, without dead letters", async () => {
    const schedule = memorySchedule();
    for (const id of ["a", "b", "dead"]) await schedule.put({ ...item, id });
    await schedule.recordFailure({ ...item, id: "dead" }, { failures: 1, cause: "", at: item.dueAt });
    expect(schedule.listAll!()).toEqual([item, { ...item, id: "b" }]);
  });

  it("returns immutable items, and does not freeze the caller's objects", async () => {
    const schedule = memorySchedule();
    const own = { ...item, data: { list: [1] } };
    await schedule.put(own);
    own.data.list.push(2);
    const [due] = await dueAt(schedule, item.dueAt);
    expect(due).toEqual(item);
    expect(() => Object.assign(due!, { dueAt: 0 })).toThrow(TypeError);
    expect(() => (due!.data.list as number[]).push(2)).toThrow(TypeError);
  });
});
