import assert from "node:assert/strict";
import type { JsonObject } from "./json.ts";
import type { DeadLetter, Schedule, ScheduledItem } from "./schedule.ts";
import { type TestRunner, withSetUp } from "./test-runner.ts";

/** Not in the past: DynamoDB Local's clock can't be moved, and its TTL would remove what is over. */
const NOW = Math.ceil(Date.now() / 3_600_000) * 3_600_000;
const DAY = 24 * 60 * 60 * 1000;

/**
 * Everything that `Schedule` promises, for any backend. `create` gives an empty one.
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

    it("gives back every field of an item", async () => {
      const data: JsonObject = { text: "", deep: [1, 2.5, null, { on: true }], ["__proto__"]: "own" };
      const full = item("a", { data });
      await schedule.put(full);
      assert.deepEqual(await dueAt(schedule, NOW), [full]);
    });

    it("tells what is due, and nothing before its time", async () => {
      await schedule.put(item("a", { dueAt: NOW }));
      await schedule.put(item("b", { dueAt: NOW + 1 }));
      assert.deepEqual(await idsDueAt(schedule, NOW - 1), []);
      assert.deepEqual(await idsDueAt(schedule, NOW), ["a"]);
      assert.deepEqual(await idsDueAt(schedule, NOW + 1), ["a", "b"]);
    });

    it("rounds a time up to the next millisecond, and a moment down", async () => {
      await schedule.put(item("a", { dueAt: NOW + 0.25 }));
      assert.deepEqual(await dueAt(schedule, NOW + 0.75), []);
      assert.deepEqual(await dueAt(schedule, NOW + 1.5), [item("a", { dueAt: NOW + 1 })]);
      await schedule.delete(item("a", { dueAt: NOW + 0.25 }));
      assert.deepEqual(await dueAt(schedule, NOW + 1), []);
    });

    for (const never of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, -0.5, 1e300]) {
      it(`rejects an item due at ${never}, and keeps the one before`, async () => {
        await schedule.put(item("a"));
        await assert.rejects(schedule.put(item("a", { dueAt: never })), {
          code: "STORE_REFUSED",
        });
        assert.deepEqual(await dueAt(schedule, NOW), [item("a")]);
      });
    }

    it("tells it again until it is deleted", async () => {
      await schedule.put(item("a"));
      assert.deepEqual(await idsDueAt(schedule, NOW), ["a"]);
      assert.deepEqual(await idsDueAt(schedule, NOW), ["a"]);
      await schedule.delete(item("a"));
      assert.deepEqual(await idsDueAt(schedule, NOW), []);
    });

    it("moves an item that is put again, to a later time or an earlier one", async () => {
      await schedule.put(item("a", { data: { n: 1 } }));
      await schedule.put(item("a", { dueAt: NOW + DAY, data: { n: 2 } }));
      assert.deepEqual(await dueAt(schedule, NOW + DAY - 1), []);
      assert.deepEqual(await dueAt(schedule, NOW + DAY), [item("a", { dueAt: NOW + DAY, data: { n: 2 } })]);
      await schedule.put(item("a", { dueAt: NOW - 1 }));
      assert.deepEqual(await dueAt(schedule, NOW + DAY), [item("a", { dueAt: NOW - 1 })]);
    });

    it("leaves an item that has moved since it was read where it is", async () => {
      await schedule.put(item("a"));
      const [read] = await dueAt(schedule, NOW);
      await schedule.put(item("a", { dueAt: NOW + 1 }));
      await schedule.delete(read!);
      assert.deepEqual(await idsDueAt(schedule, NOW + 1), ["a"]);
    });

    it("changes nothing when an item is put or deleted twice, or was never there", async () => {
      await schedule.put(item("a"));
      await schedule.put(item("a"));
      assert.deepEqual(await idsDueAt(schedule, NOW), ["a"]);
      await schedule.delete(item("a"));
      await schedule.delete(item("a"));
      await schedule.delete(item("nobody"));
      assert.deepEqual(await idsDueAt(schedule, NOW), []);
    });

    it("keeps apart what has the same id and another kind, whatever the two are called", async () => {
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

    it("takes ids that are long", async () => {
      // A partition key of DynamoDB's has 2,048 bytes.
      const ids = ["a".repeat(2_100), `${"a".repeat(2_100)}b`, '"'.repeat(2_000)].sort();
      for (const id of ids) await schedule.put(item(id));
      assert.deepEqual((await idsDueAt(schedule, NOW)).sort(), ids);
      assert.deepEqual(await schedule.get(item(ids[0]!)), item(ids[0]!));
      await schedule.recordFailure(item(ids[0]!), { failures: 1, cause: "x", dueAt: NOW + 1, at: NOW });
      assert.deepEqual(await schedule.get(item(ids[0]!)), item(ids[0]!, { dueAt: NOW + 1, failures: 1 }));
      for (const id of ids.slice(1)) await schedule.delete(item(id));
      assert.deepEqual(await idsDueAt(schedule, NOW + 1), [ids[0]]);
    });

    it("gives an item as it is now, whatever has been read of it before", async () => {
      assert.equal(await schedule.get(item("a")), undefined);
      await schedule.put(item("a"));
      assert.deepEqual(await schedule.get({ kind: "test", id: "a" }), item("a"));
      await schedule.put(item("a", { dueAt: NOW + 1, data: { n: 1 } }));
      assert.deepEqual(await schedule.get(item("a")), item("a", { dueAt: NOW + 1, data: { n: 1 } }));
      assert.equal(await schedule.get(item("a", { kind: "other" })), undefined);
      await schedule.delete(item("a", { dueAt: NOW + 1 }));
      assert.equal(await schedule.get(item("a")), undefined);
    });

    it("moves an item whose action failed, and counts the failures", async () => {
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

    it("keeps no failure of an item that was moved, deleted, or never there", async () => {
      const failure = { failures: 1, cause: "Error: no", at: NOW };
      await schedule.put(item("moved", { dueAt: NOW + 1 }));
      for (const id of ["moved", "nobody"]) {
        await schedule.recordFailure(item(id), failure);
        await schedule.recordFailure(item(id), { ...failure, dueAt: NOW + 2 });
      }
      assert.deepEqual(await dueAt(schedule, NOW + 2), [item("moved", { dueAt: NOW + 1 })]);
      assert.deepEqual(await deadLetters(schedule), []);
    });

    it("keeps what has failed for the last time as a dead letter, which is not due", async () => {
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

    it("removes a dead letter that is deleted", async () => {
      for (const id of ["a", "b"]) {
        await schedule.put(item(id));
        await schedule.recordFailure(item(id), { failures: 1, cause: "", at: NOW });
      }
      const [first] = await deadLetters(schedule);
      await schedule.delete(first!);
      assert.equal((await deadLetters(schedule)).length, 1);
    });

    it("rejects a failure that is due at no time, and leaves what was there", async () => {
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

    it("gives all that is due to everyone who asks at once", async () => {
      const ids = Array.from({ length: 40 }, (_, n) => `item-${String(n).padStart(2, "0")}`);
      await Promise.all(ids.map((id) => schedule.put(item(id))));
      const takers = await Promise.all([1, 2, 3].map(() => idsDueAt(schedule, NOW)));
      assert.deepEqual(takers, [ids, ids, ids]);
      await Promise.all(takers.flat().map((id) => schedule.delete(item(id))));
      assert.deepEqual(await idsDueAt(schedule, NOW), []);
    });

    it("may be changed while it is read", async () => {
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
