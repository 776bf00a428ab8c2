import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";
import { logSafely } from "../../internal/log-safely.ts";
import type { Schedule } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { awaitStore } from "../errors.ts";

/** The kind of the scheduled item that retries pending fan-outs. */
export const RETRY_FAN_OUT = "streamer:fan-out";

/** ms until the first retry; the delay doubles with each retry that fails, up to the maximum. */
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 30_000;

/** An item that is overdue by this many ms is scheduled again: another process may have taken it. */
const OVERDUE_MS = 10_000;

const NOT_SCHEDULED = Number.NEGATIVE_INFINITY;

/** Schedules retries of fan-outs with exponential backoff. Uses an item in the schedule, because Lambda has no timers. */
export class FanOutRetry {
  readonly #schedule: Schedule | undefined;
  readonly #now: () => number;
  readonly #elapsed: Elapsed;
  /** When the scheduled retry is due, in elapsed ms. */
  #dueAt = NOT_SCHEDULED;
  #failures = 0;

  /** @param schedule absent: nothing is retried here; the application calls `resume` */
  constructor(schedule: Schedule | undefined, now: () => number) {
    this.#schedule = schedule;
    this.#now = now;
    this.#elapsed = createElapsed(now);
  }

  /** Schedules a retry unless one is scheduled already. Never rejects. */
  async schedule({ logger }: CallContext): Promise<void> {
    const elapsed = this.#elapsed();
    if (this.#schedule === undefined || elapsed < this.#dueAt + OVERDUE_MS) return;
    const delayMs = Math.min(FIRST_DELAY_MS * 2 ** this.#failures++, MAX_DELAY_MS);
    this.#dueAt = elapsed + delayMs;
    try {
      const dueAt = this.#now() + delayMs;
      await awaitStore(this.#schedule.put({ kind: RETRY_FAN_OUT, id: "all", dueAt, data: {} }));
    } catch (error) {
      this.#dueAt = NOT_SCHEDULED;
      const message = "A fan-out retry was not scheduled; the next failed fan-out schedules one";
      logSafely(logger, "error", message, { error });
    }
  }

  /** Runs a due retry. Resets the backoff unless it has scheduled another retry. */
  async run(retry: () => Promise<unknown>): Promise<void> {
    this.#dueAt = NOT_SCHEDULED;
    await retry();
    if (this.#dueAt === NOT_SCHEDULED) this.#failures = 0;
  }
}
