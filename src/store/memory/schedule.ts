import {
  type DeadLetter,
  type ItemFailure,
  parseDueTime,
  type Schedule,
  type ScheduledItem,
  type ScheduledItemVersion,
} from "../contracts/schedule.ts";
import { frozenCopy } from "./freeze.ts";

const RETENTION_MS = 7 * 24 * 60 * 60 * 1000;

interface Entry {
  readonly item: ScheduledItem;
  /** ms since the epoch. A failure does not move it. */
  readonly dropAt: number;
}

interface DeadEntry {
  readonly letter: DeadLetter;
  readonly dropAt: number;
}

/**
 * Creates a schedule in this process's memory.
 * @example
 * const app = new Lift({ schedule: memorySchedule() });
 */
export function memorySchedule(): Schedule {
  return new MemorySchedule();
}

class MemorySchedule implements Schedule {
  readonly #items = new Map<string, Entry>();
  readonly #dead = new Map<string, DeadEntry>();
  /** No item is due before this time, so that a tick every second does not check all items. */
  #earliest = Number.POSITIVE_INFINITY;

  async put({ kind, id, data, failures, ...item }: ScheduledItem): Promise<void> {
    const dueAt = parseDueTime(item.dueAt);
    const optional = failures === undefined ? {} : { failures };
    const key = scheduleKey(kind, id);
    this.#dead.delete(key);
    this.#set(key, { kind, id, dueAt, data: frozenCopy(data), ...optional }, dueAt + RETENTION_MS);
  }

  async *listDue(now: number): AsyncGenerator<ScheduledItem> {
    yield* this.#listDueNow(now);
  }

  async get({ kind, id }: Pick<ScheduledItem, "kind" | "id">): Promise<ScheduledItem | undefined> {
    return this.#items.get(scheduleKey(kind, id))?.item;
  }

  async recordFailure(
    read: ScheduledItemVersion,
    { failures, cause, dueAt, at }: ItemFailure,
  ): Promise<void> {
    const next = dueAt === undefined ? undefined : parseDueTime(dueAt);
    const key = scheduleKey(read.kind, read.id);
    const entry = this.#items.get(key);
    if (entry?.item.dueAt !== Math.ceil(read.dueAt)) return;
    if (next !== undefined) return this.#set(key, { ...entry.item, dueAt: next, failures }, entry.dropAt);
    this.#items.delete(key);
    const letter = Object.freeze({ ...entry.item, failures, cause });
    this.#dead.set(key, { letter, dropAt: at + RETENTION_MS });
  }

  async *listDeadLetters(): AsyncGenerator<DeadLetter> {
    for (const { letter } of [...this.#dead.values()]) yield letter;
  }

  listAll(): ScheduledItem[] {
    return [...this.#items.values()].map(({ item }) => item);
  }

  async delete({ kind, id, dueAt }: ScheduledItemVersion): Promise<void> {
    const key = scheduleKey(kind, id);
    const due = Math.ceil(dueAt);
    if (this.#items.get(key)?.item.dueAt === due) this.#items.delete(key);
    if (this.#dead.get(key)?.letter.dueAt === due) this.#dead.delete(key);
  }

  #set(key: string, item: ScheduledItem, dropAt: number): void {
    this.#items.set(key, { item: Object.freeze(item), dropAt });
    this.#earliest = Math.min(this.#earliest, item.dueAt);
  }

  #listDueNow(now: number): ScheduledItem[] {
    for (const [key, { dropAt }] of this.#dead) {
      // Dead letters are in the order of their last failures.
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

/** Returns a key that no other pair has. */
function scheduleKey(kind: string, id: string): string {
  return JSON.stringify([kind, id]);
}
