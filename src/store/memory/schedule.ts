import {
  type DeadLetter,
  type ItemFailure,
  parseDueTime,
  type Schedule,
  type ScheduledItem,
  type ScheduledItemVersion,
} from "../contracts/schedule.ts";
import { frozenCopy } from "./freeze.ts";

const KEPT_PAST_DUE_MS = 7 * 24 * 60 * 60 * 1000;

interface Pending {
  readonly item: ScheduledItem;
  /** ms since the epoch. A failure does not move it. */
  readonly dropAt: number;
}

interface Dead {
  readonly letter: DeadLetter;
  readonly dropAt: number;
}

/** What must happen later, in this process's memory: for one process and as long as it lives. */
export function memorySchedule(): Schedule {
  return new MemorySchedule();
}

class MemorySchedule implements Schedule {
  readonly #items = new Map<string, Pending>();
  readonly #dead = new Map<string, Dead>();
  /** Nothing is due before it: who asks every second need not look at all items each time. */
  #earliest = Number.POSITIVE_INFINITY;

  async put({ kind, id, data, failures, ...item }: ScheduledItem): Promise<void> {
    const dueAt = parseDueTime(item.dueAt);
    const failed = failures === undefined ? {} : { failures };
    const key = keyOf(kind, id);
    this.#dead.delete(key);
    this.#set(key, { kind, id, dueAt, data: frozenCopy(data), ...failed }, dueAt + KEPT_PAST_DUE_MS);
  }

  async *listDue(now: number): AsyncGenerator<ScheduledItem> {
    yield* this.#take(now);
  }

  async get({ kind, id }: Pick<ScheduledItem, "kind" | "id">): Promise<ScheduledItem | undefined> {
    return this.#items.get(keyOf(kind, id))?.item;
  }

  async recordFailure(
    read: ScheduledItemVersion,
    { failures, cause, dueAt, at }: ItemFailure,
  ): Promise<void> {
    const next = dueAt === undefined ? undefined : parseDueTime(dueAt);
    const key = keyOf(read.kind, read.id);
    const pending = this.#items.get(key);
    if (pending?.item.dueAt !== Math.ceil(read.dueAt)) return;
    if (next !== undefined) return this.#set(key, { ...pending.item, dueAt: next, failures }, pending.dropAt);
    this.#items.delete(key);
    const letter = Object.freeze({ ...pending.item, failures, cause });
    this.#dead.set(key, { letter, dropAt: at + KEPT_PAST_DUE_MS });
  }

  async *listDeadLetters(): AsyncGenerator<DeadLetter> {
    for (const { letter } of [...this.#dead.values()]) yield letter;
  }

  listAll(): ScheduledItem[] {
    return [...this.#items.values()].map(({ item }) => item);
  }

  async delete({ kind, id, dueAt }: ScheduledItemVersion): Promise<void> {
    const key = keyOf(kind, id);
    const due = Math.ceil(dueAt);
    if (this.#items.get(key)?.item.dueAt === due) this.#items.delete(key);
    if (this.#dead.get(key)?.letter.dueAt === due) this.#dead.delete(key);
  }

  #set(key: string, item: ScheduledItem, dropAt: number): void {
    this.#items.set(key, { item: Object.freeze(item), dropAt });
    this.#earliest = Math.min(this.#earliest, item.dueAt);
  }

  #take(now: number): ScheduledItem[] {
    for (const [key, { dropAt }] of this.#dead) {
      // In order of their last failures.
      if (dropAt > now) break;
      this.#dead.delete(key);
    }
    if (now < this.#earliest) return [];
    const due: ScheduledItem[] = [];
    this.#earliest = Number.POSITIVE_INFINITY;
    for (const [key, { item, dropAt }] of this.#items) {
      if (dropAt <= now) {
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
