// Runs concurrent code in every order of its steps, so that rare races show in every run.
import { setImmediate as macrotask, setTimeout as sleep } from "node:timers/promises";

/** Runs one step of a side when the scheduler allows it. No other step runs at the same time. */
export type Step = <Result>(step: () => Promise<Result>) => Promise<Result>;

export interface OrderOptions {
  /** Number of concurrent sides. */
  readonly sides: number;
  /**
   * Maximum number of interruptions of one side by another in one order. Two or three find nearly all faults, and
   * without a bound the number of orders explodes.
   */
  readonly switches: number;
}

/** Starts all sides, each with its own `Step`. Resolves when all have ended and were checked. */
export type Scenario = (steps: readonly Step[]) => Promise<void>;

interface Decision {
  /** Sides with a waiting step. */
  readonly options: readonly number[];
  readonly chosen: number;
  /** Number of interruptions before. */
  readonly switches: number;
}

/** @returns the number of orders that ran */
export async function runInEveryOrder({ sides, switches }: OrderOptions, play: Scenario): Promise<number> {
  const unplayed: (readonly number[])[] = [[]];
  let played = 0;
  for (let order = unplayed.pop(); order !== undefined; order = unplayed.pop()) {
    const scheduler = new Scheduler(sides, order);
    try {
      await scheduler.run(play);
    } catch (error) {
      const taken = scheduler.decisions.map(({ chosen }) => chosen).join("");
      throw new Error(`In the order ${taken}: ${(error as Error).message}`, { cause: error });
    }
    played++;
    unplayed.push(...alternatives(scheduler.decisions, order.length, switches));
  }
  return played;
}

/** Orders that differ from a completed one after its given prefix. */
function alternatives(decisions: readonly Decision[], given: number, most: number): number[][] {
  const chosen = decisions.map((decision) => decision.chosen);
  return decisions.flatMap(({ options, ...decision }, at) => {
    if (at < given) return [];
    const before = chosen[at - 1];
    const others = options.filter((side) => side !== decision.chosen);
    const allowed = others.filter((side) => {
      const isSwitch = before !== undefined && options.includes(before) && side !== before;
      const wasSwitch = before !== undefined && options.includes(before) && decision.chosen !== before;
      return decision.switches - Number(wasSwitch) + Number(isSwitch) <= most;
    });
    return allowed.map((side) => [...chosen.slice(0, at), side]);
  });
}

/** Runs one step at a time in the given order. After it, each side continues as long as it can. */
class Scheduler {
  readonly decisions: Decision[] = [];
  readonly #order: readonly number[];
  readonly #waiting: (() => Promise<void>)[][];
  #wake = () => {};

  constructor(sides: number, order: readonly number[]) {
    this.#order = order;
    this.#waiting = Array.from({ length: sides }, () => []);
  }

  async run(play: Scenario): Promise<void> {
    let isOver = false;
    const playing = play(this.#waiting.map((_, side) => (step) => this.#queue(side, step)));
    const over = playing.finally(() => {
      isOver = true;
      this.#wake();
    });
    // The last line reports the error to the caller.
    over.catch(() => {});
    for (;;) {
      await untilIdle();
      const next = this.#next();
      if (next !== undefined) await next();
      else if (isOver) break;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    await over;
  }

  #queue<Result>(side: number, step: () => Promise<Result>): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#waiting[side]!.push(() => step().then(resolve, reject));
      this.#wake();
    });
  }

  #next(): (() => Promise<void>) | undefined {
    const options = this.#waiting.flatMap((steps, side) => (steps.length > 0 ? [side] : []));
    if (options.length === 0) return undefined;
    const last = this.decisions.at(-1);
    const current = last !== undefined && options.includes(last.chosen) ? last.chosen : undefined;
    const chosen = this.#order[this.decisions.length] ?? current ?? options[0]!;
    if (!options.includes(chosen)) throw new Error("The sides did not do again what they did before");
    const switches = (last?.switches ?? 0) + Number(current !== undefined && chosen !== current);
    this.decisions.push({ options, chosen, switches });
    return this.#waiting[chosen]!.shift()!;
  }
}

/** Resolves when every side waits with a step, has ended, or sleeps for longer than a millisecond. */
async function untilIdle(): Promise<void> {
  await macrotask();
  // After the timers of sides that pause for 0 ms: timers of equal length fire in order.
  await sleep(1);
  await macrotask();
}
