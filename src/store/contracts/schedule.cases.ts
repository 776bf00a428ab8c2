import assert from "node:assert/strict";
import type { JsonObject } from "./json.ts";
import type { DeadLetter, Schedule, ScheduledItem } from "./schedule.ts";
import { type TestRunner, withSetUp } from "./test-runner.ts";

/** In the future, because the clock of DynamoDB Local cannot be moved, and its TTL would remove earlier items. */
const NOW = Math.ceil(Date.now() / 3_600_000) * 3_600_000;
const DAY = 24 * 60 * 60 * 1000;

/**
 * Defines a test for every guarantee of `Schedule`.
 * @param create creates an empty schedule for each test
 * @example
 * scheduleCases({ describe, it }, "my schedule", () => mySchedule());
 */
export function scheduleCases(
  runner: TestRunner,
  title: string,
  create: () => Promise<Schedule> | Schedule,
): void {
  runner.describe(title, () => {
    let schedule: Schedule;

    const it = withSetUp(runner.it, async () => {
      schedule = await create();
    });

    const item = (id: string, overrides: Partial<ScheduledItem> = {}): ScheduledItem => ({
      kind: "test",
      id,
      dueAt: NOW,
      data: {},
      ...overrides,
    });

    it("stores every field of an item", async () => {
      const data: JsonObject = { text: "", deep: [1, 2.5, null, { on: true }], ["__proto__"]: "own" };
      const full = item("a", { data });
      await schedule.put(full);
      assert.deepEqual(await dueAt(schedule, NOW), [full]);
    });

    it("lists items when they are due, and not before", async () => {
      await schedule.put(item("a", { dueAt: NOW }));
      await schedule.put(item("b", { dueAt: NOW + 1 }));
      assert.deepEqual(await idsDueAt(schedule, NOW - 1), []);
      assert.deepEqual(await idsDueAt(schedule, NOW), ["a"]);
      assert.deepEqual(await idsDueAt(schedule, NOW + 1), ["a", "b"]);
    });

    it("rounds `dueAt` up to the next millisecond, and the current time down", async () => {
      await schedule.put(item("a", { dueAt: NOW + 0.25 }));
      assert.deepEqual(await dueAt(schedule, NOW + 0.75), []);
      assert.deepEqual(await dueAt(schedule, NOW + 1.5), [item("a", { dueAt: NOW + 1 })]);
      await schedule.delete(item("a", { dueAt: NOW + 0.25 }));
      assert.deepEqual(await dueAt(schedule, NOW + 1), []);
    });

    for (const never of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, -0.5, 1e300]) {
      it(`rejects an item due at ${never}, and keeps the previous one`, async () => {
        await schedule.put(item("a"));
        await assert.rejects(schedule.put(item("a", { dueAt: never })), {
          code: "STORE_REFUSED",
        });
        assert.deepEqual(await dueAt(schedule, NOW), [item("a")]);
      });
    }

    it("lists a due item again until it is deleted", async () => {
      await schedule.put(item("a"));
      assert.deepEqual(await idsDueAt(schedule, NOW), ["a"]);
      assert.deepEqual(await idsDueAt(schedule, NOW), ["a"]);
      await schedule.delete(item("a"));
      assert.deepEqual(await idsDueAt(schedule, NOW), []);
    });

    it("reschedules an item that is put again, to a later or an earlier time", async () => {
      await schedule.put(item("a", { data: { n: 1 } }));
      await schedule.put(item("a", { dueAt: NOW + DAY, data: { n: 2 } }));
      assert.deepEqual(await dueAt(schedule, NOW + DAY - 1), []);
      assert.deepEqual(await dueAt(schedule, NOW + DAY), [item("a", { dueAt: NOW + DAY, data: { n: 2 } })]);
      await schedule.put(item("a", { dueAt: NOW - 1 }));
      assert.deepEqual(await dueAt(schedule, NOW + DAY), [item("a", { dueAt: NOW - 1 })]);
    });

    it("does not delete an item that was rescheduled since it was read", async () => {
      await schedule.put(item("a"));
      const [read] = await dueAt(schedule, NOW);
      await schedule.put(item("a", { dueAt: NOW + 1 }));
      await schedule.delete(read!);
      assert.deepEqual(await idsDueAt(schedule, NOW + 1), ["a"]);
    });

    it("accepts repeated puts and deletes, and deletes of missing items", async () => {
      await schedule.put(item("a"));
      await schedule.put(item("a"));
      assert.deepEqual(await idsDueAt(schedule, NOW), ["a"]);
      await schedule.delete(item("a"));
      await schedule.delete(item("a"));
      await schedule.delete(item("nobody"));
      assert.deepEqual(await idsDueAt(schedule, NOW), []);
    });

    it("separates items by kind and id, with any names", async () => {
      const pairs = [
        ["a", "b"],
        ["b", "a"],
        ["a,b", ""],
        ['a","b', "c"],
        ["a", 'b","c'],
        ["", "__proto__"],
        ["\uD800", "é"],
      ] as const;
      for (const [kind, id] of pairs) await schedule.put(item(id, { kind }));
      await schedule.delete(item("b", { kind: "a" }));
      const left = (await dueAt(schedule, NOW)).map(({ kind, id }) => [kind, id]);
      assert.deepEqual(
        left.sort(),
        pairs
          .slice(1)
          .map((pair) => [...pair])
          .sort(),
      );
    });

    it("accepts long ids", async () => {
      // DynamoDB limits a partition key to 2,048 bytes.
      const ids = ["a".repeat(2_100), `${"a".repeat(2_100)}b`, '"'.repeat(2_000)].sort();
      for (const id of ids) await schedule.put(item(id));
      assert.deepEqual((await idsDueAt(schedule, NOW)).sort(), ids);
      assert.deepEqual(await schedule.get(item(ids[0]!)), item(ids[0]!));
      await schedule.recordFailure(item(ids[0]!), { failures: 1, cause: "x", dueAt: NOW + 1, at: NOW });
      assert.deepEqual(await schedule.get(item(ids[0]!)), item(ids[0]!, { dueAt: NOW + 1, failures: 1 }));
      for (const id of ids.slice(1)) await schedule.delete(item(id));
      assert.deepEqual(await idsDueAt(schedule, NOW + 1), [ids[0]]);
    });

    it("returns an item's current version", async () => {
      assert.equal(await schedule.get(item("a")), undefined);
      await schedule.put(item("a"));
      assert.deepEqual(await schedule.get({ kind: "test", id: "a" }), item("a"));
      await schedule.put(item("a", { dueAt: NOW + 1, data: { n: 1 } }));
      assert.deepEqual(await schedule.get(item("a")), item("a", { dueAt: NOW + 1, data: { n: 1 } }));
      assert.equal(await schedule.get(item("a", { kind: "other" })), undefined);
      await schedule.delete(item("a", { dueAt: NOW + 1 }));
      assert.equal(await schedule.get(item("a")), undefined);
    });

    it("reschedules a failed item, and counts its failures", async () => {
      await schedule.put(item("a", { data: { n: 1 } }));
      const failure = { failures: 1, cause: "Error: no", at: NOW, dueAt: NOW + 500.5 };
      await schedule.recordFailure(item("a"), failure);
      await schedule.recordFailure(item("a"), failure);
      assert.deepEqual(await dueAt(schedule, NOW + 500), []);
      const failed = item("a", { dueAt: NOW + 501, data: { n: 1 }, failures: 1 });
      assert.deepEqual(await dueAt(schedule, NOW + 501), [failed]);
      assert.deepEqual(await schedule.get(item("a")), failed);
      await schedule.recordFailure(failed, { ...failure, failures: 2, dueAt: NOW + 900 });
      assert.deepEqual(await dueAt(schedule, NOW + 900), [
        item("a", { dueAt: NOW + 900, data: { n: 1 }, failures: 2 }),
      ]);
      await schedule.put(item("a"));
      assert.deepEqual(await dueAt(schedule, NOW), [item("a")]);
    });

    it("records no failure of an item that was rescheduled, deleted or missing", async () => {
      const failure = { failures: 1, cause: "Error: no", at: NOW };
      await schedule.put(item("moved", { dueAt: NOW + 1 }));
      for (const id of ["moved", "nobody"]) {
        await schedule.recordFailure(item(id), failure);
        await schedule.recordFailure(item(id), { ...failure, dueAt: NOW + 2 });
      }
      assert.deepEqual(await dueAt(schedule, NOW + 2), [item("moved", { dueAt: NOW + 1 })]);
      assert.deepEqual(await deadLetters(schedule), []);
    });

    it("keeps an item after its last failure as a dead letter, which is never due", async () => {
      await schedule.put(item("a", { data: { n: 1 } }));
      const failure = { failures: 3, cause: 'Error: \u00e9 "no"', at: NOW };
      await schedule.recordFailure(item("a"), failure);
      await schedule.recordFailure(item("a"), failure);
      assert.deepEqual(await dueAt(schedule, NOW + DAY), []);
      assert.equal(await schedule.get(item("a")), undefined);
      const letter = { ...item("a", { data: { n: 1 } }), failures: 3, cause: failure.cause };
      assert.deepEqual(await deadLetters(schedule), [letter]);
      await schedule.put(item("a"));
      assert.deepEqual([await deadLetters(schedule), await idsDueAt(schedule, NOW)], [[], ["a"]]);
    });

    it("deletes a dead letter, but not an earlier or later one of the item", async () => {
      for (const id of ["a", "b"]) {
        await schedule.put(item(id));
        await schedule.recordFailure(item(id), { failures: 1, cause: "", at: NOW });
      }
      const [first] = await deadLetters(schedule);
      await schedule.delete({ ...first!, dueAt: first!.dueAt + 1 });
      assert.equal((await deadLetters(schedule)).length, 2);
      await schedule.delete(first!);
      assert.equal((await deadLetters(schedule)).length, 1);
    });

    it("rejects a failure with an invalid `dueAt`, and keeps the item", async () => {
      await schedule.put(item("a"));
      const failed = schedule.recordFailure(item("a"), {
        failures: 1,
        cause: "",
        at: NOW,
        dueAt: Number.NaN,
      });
      await assert.rejects(failed, { code: "STORE_REFUSED" });
      assert.deepEqual(await dueAt(schedule, NOW), [item("a")]);
    });

    it("lists all due items to every concurrent caller", async () => {
      const ids = Array.from({ length: 40 }, (_, n) => `item-${String(n).padStart(2, "0")}`);
      await Promise.all(ids.map((id) => schedule.put(item(id))));
      const takers = await Promise.all([1, 2, 3].map(() => idsDueAt(schedule, NOW)));
      assert.deepEqual(takers, [ids, ids, ids]);
      await Promise.all(takers.flat().map((id) => schedule.delete(item(id))));
      assert.deepEqual(await idsDueAt(schedule, NOW), []);
    });

    it("allows changes while items are listed", async () => {
      const ids = Array.from({ length: 20 }, (_, n) => `item-${String(n).padStart(2, "0")}`);
      for (const id of ids) await schedule.put(item(id));
      const seen: string[] = [];
      for await (const due of schedule.listDue(NOW)) {
        seen.push(due.id);
        await schedule.delete(due);
        await schedule.put(item(`later-${due.id}`, { dueAt: NOW + 1 }));
      }
      assert.deepEqual(seen.sort(), ids);
      assert.deepEqual(
        await idsDueAt(schedule, NOW + 1),
        ids.map((id) => `later-${id}`),
      );
    });
  });
}

async function dueAt(schedule: Schedule, now: number): Promise<ScheduledItem[]> {
  const items: ScheduledItem[] = [];
  for await (const item of schedule.listDue(now)) items.push(item);
  return items;
}

async function deadLetters(schedule: Schedule): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const letter of schedule.listDeadLetters()) letters.push(letter);
  return letters;
}

async function idsDueAt(schedule: Schedule, now: number): Promise<string[]> {
  return (await dueAt(schedule, now)).map(({ id }) => id).sort();
}
