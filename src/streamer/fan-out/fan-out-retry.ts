import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";
import { KeyedQueue } from "../../internal/keyed-queue.ts";
import type { ChannelHistory, Schedule } from "../../store/index.ts";
import { fanOutStored } from "../actions/publish.ts";
import type { Core, Scope } from "../core.ts";
import { fromStore, log } from "./errors.ts";
import { isStreamed, LEAST_MS } from "./fan-out-recovery.ts";

/** The kind of the item that goes on with what a fan-out has left. */
export const GO_ON = "streamer:fan-out";

/** When it is gone on with, in ms from the failure on: doubled with each that follows, up to the most. */
const FIRST_MS = 1_000;
const MOST_MS = 30_000;

/** Past its time by so much, in ms, an item is put once more: another process may have taken it. */
const LOST_MS = 10_000;

/**
 * Goes on with fan-outs that have failed while this process runs, as `resume` does with those of one that has died: by an
 * item in the schedule, so without a timer. Where a table's stream tells of them, that does.
 */
export class SecondTries {
  readonly #history: ChannelHistory;
  readonly #schedule: Schedule | undefined;
  readonly #now: () => number;
  /** Fan-outs that this process is at. */
  readonly #underWay = new Set<string>();
  /** Those that it is at, or was, since the list that is gone through now was begun. */
  #busy: Set<string> | undefined;
  readonly #turns = new KeyedQueue();
  readonly #elapsed: Elapsed;
  /** Elapsed ms. */
  #dueAt = Number.NEGATIVE_INFINITY;
  #failures = 0;

  constructor(history: ChannelHistory, schedule: Schedule | undefined, now: () => number) {
    this.#history = history;
    this.#schedule = schedule;
    this.#now = now;
    this.#elapsed = createElapsed(now);
  }

  /** Runs a fan-out, which resolves to whether it has finished, and sees to it that what it leaves is gone on with. */
  async watch(key: string, offset: number, scope: Scope, run: () => Promise<boolean>): Promise<boolean> {
    const name = nameOf(key, offset);
    this.#underWay.add(name);
    this.#busy?.add(name);
    const finished = await run();
    this.#underWay.delete(name);
    if (!finished) await this.#goOnLater(scope);
    return finished;
  }

  /** Goes on with all that was stored before a time, but for what is under way. Resolves to how many it has finished. */
  goOn(storedBefore: number, scope: Scope, core: Core): Promise<number> {
    // In turn, or the second list has what the first is at.
    return this.#turns.run("", async () => {
      const busy = new Set(this.#underWay);
      this.#busy = busy;
      let finished = 0;
      try {
        for await (const { channel, cursor, ...stored } of this.#history.listPendingFanOuts(storedBefore)) {
          if ((scope.budget?.getRemainingTimeInMillis() ?? LEAST_MS) < LEAST_MS) {
            await this.#goOnLater(scope);
            break;
          }
          if (busy.has(nameOf(channel, stored.message.offset))) continue;
          if (await fanOutStored(channel, stored, scope, core, cursor)) finished++;
        }
      } finally {
        this.#busy = undefined;
      }
      return finished;
    });
  }

  /** What a tick does with the item. */
  async look(scope: Scope, core: Core): Promise<void> {
    this.#dueAt = Number.NEGATIVE_INFINITY;
    // Whatever there is: what somebody is at is known.
    await this.goOn(Number.MAX_SAFE_INTEGER, scope, core);
    if (this.#dueAt === Number.NEGATIVE_INFINITY) this.#failures = 0;
  }

  async #goOnLater(scope: Scope): Promise<void> {
    const elapsed = this.#elapsed();
    if (this.#schedule === undefined || isStreamed(this.#history) || elapsed < this.#dueAt + LOST_MS) return;
    const waitMs = Math.min(FIRST_MS * 2 ** this.#failures++, MOST_MS);
    this.#dueAt = elapsed + waitMs;
    try {
      const dueAt = this.#now() + waitMs;
      await fromStore(this.#schedule.put({ kind: GO_ON, id: "all", dueAt, data: {} }));
    } catch (error) {
      this.#dueAt = Number.NEGATIVE_INFINITY;
      log(scope.logger, "error", "What a fan-out has left waits for the next one that fails", { error });
    }
  }
}

function nameOf(key: string, offset: number): string {
  return `${offset}:${key}`;
}
