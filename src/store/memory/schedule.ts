import { dueTime } from "../due-time.ts";
import type { Schedule, ScheduledItem } from "../ports.ts";
import { frozenCopy } from "./freeze.ts";

const KEPT_PAST_DUE_MS = 7 * 24 * 60 * 60 * 1000;

/** What must happen later, in this process's memory: for one process and as long as it lives. */
export function memorySchedule(): Schedule {
  return new MemorySchedule();
}

class MemorySchedule implements Schedule {
  readonly #items = new Map<string, ScheduledItem>();
  /** Nothing is due before it: who asks every second need not look at all items each time. */
  #earliest = Number.POSITIVE_INFINITY;

  async put({ kind, id, data, ...item }: ScheduledItem): Promise<void> {
    const dueAt = dueTime(item.dueAt);
    this.#items.set(keyOf(kind, id), Object.freeze({ kind, id, dueAt, data: frozenCopy(data) }));
    this.#earliest = Math.min(this.#earliest, dueAt);
  }

  async *due(now: number): AsyncGenerator<ScheduledItem> {
    yield* this.#take(now);
  }

  all(): ScheduledItem[] {
    return [...this.#items.values()];
  }

  async delete({ kind, id, dueAt }: Pick<ScheduledItem, "kind" | "id" | "dueAt">): Promise<void> {
    const key = keyOf(kind, id);
    if (this.#items.get(key)?.dueAt === Math.ceil(dueAt)) this.#items.delete(key);
  }

  #take(now: number): ScheduledItem[] {
    if (now < this.#earliest) return [];
    const due: ScheduledItem[] = [];
    this.#earliest = Number.POSITIVE_INFINITY;
    for (const [key, item] of this.#items) {
      if (item.dueAt + KEPT_PAST_DUE_MS <= now) {
        this.#items.delete(key);
        continue;
      }
      this.#earliest = Math.min(this.#earliest, item.dueAt);
      if (item.dueAt <= now) due.push(item);
    }
    return due.sort((a, b) => a.dueAt - b.dueAt);
  }
}

/** No two pairs share it. */
function keyOf(kind: string, id: string): string {
  return JSON.stringify([kind, id]);
}
