import { expect, it } from "vitest";
import type { Schedule } from "../../store/index.ts";
import { memorySchedule } from "../../store/memory/index.ts";
import { CarriedSchedule } from "./reloaded-schedule.ts";

const item = (id: string) => ({ kind: "test", id, dueAt: 1_000, data: { n: 1 } });

async function ids(schedule: Schedule) {
  const found: string[] = [];
  for await (const { id } of schedule.due(1_000)) found.push(id);
  return found.sort();
}

it("is carried from load to load, with what came late to the one before", async () => {
  const carried = new CarriedSchedule();
  const [first, second, third] = [memorySchedule(), memorySchedule(), memorySchedule()];
  await carried.moveTo(first);
  await first.put(item("a"));
  await carried.moveTo(second);
  expect(await ids(second)).toEqual(["a"]);
  await first.put(item("b"));
  await carried.carry();
  expect(await ids(second)).toEqual(["a", "b"]);
  await first.put(item("c"));
  await carried.moveTo(third);
  expect(await ids(third)).toEqual(["a", "b", "c"]);
  expect(await ids(first)).toEqual([]);
});

it("stays where a load has the same one, or one that outlives the process", async () => {
  const carried = new CarriedSchedule();
  const { all: _, ...durable }: Schedule = memorySchedule();
  const memory = memorySchedule();
  await carried.moveTo(memory);
  await memory.put(item("a"));
  await carried.moveTo(memory);
  await carried.moveTo(durable);
  await carried.moveTo(undefined);
  expect(await ids(memory)).toEqual(["a"]);
});
