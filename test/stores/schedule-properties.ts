import assert from "node:assert/strict";
import fc from "fast-check";
import { it } from "vitest";
import type { Schedule, ScheduledItem } from "../../src/store/index.ts";

/** A future time, because DynamoDB Local's clock cannot be moved and its TTL would remove expired items. */
const NOW = Math.ceil(Date.now() / 3_600_000) * 3_600_000;
const DAY = 24 * 60 * 60 * 1000;

/** Properties of `Schedule` that random calls check, for any backend. `create` returns an empty one. */
export function scheduleProperties(title: string, create: () => Promise<Schedule> | Schedule): void {
  const item = (id: string, overrides: Partial<ScheduledItem> = {}): ScheduledItem => ({
    kind: "test",
    id,
    dueAt: NOW,
    data: {},
    ...overrides,
  });

  it(`${title} agrees with a searched list after any puts, moves and deletes`, async () => {
    // Stay within a week, so that no item is dropped.
    const time = fc.integer({ min: NOW, max: NOW + 6 * DAY });
    const change = fc.record({ id: fc.constantFrom("a", "b", "c"), dueAt: time, remove: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 8 }), async (changes) => {
        const own = await create();
        const model = new Map<string, number>();
        for (const { id, dueAt, remove } of changes) {
          if (remove) {
            // Deletes a scheduled item, or one with another time.
            if (model.get(id) === dueAt) model.delete(id);
            await own.delete({ kind: "test", id, dueAt });
          } else {
            model.set(id, dueAt);
            await own.put(item(id, { dueAt }));
          }
        }
        for (const now of [...model.values()].flatMap((at) => [at - 1, at])) {
          const due = [...model].filter(([, at]) => at <= now).map(([id]) => id);
          assert.deepEqual(await idsDueAt(own, now), due.sort());
        }
      }),
      { numRuns: 10 },
    );
  });
}

async function idsDueAt(schedule: Schedule, now: number): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of schedule.listDue(now)) ids.push(id);
  return ids.sort();
}
