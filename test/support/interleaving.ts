// Plays code that runs at once in every order of its steps: what chance finds once in a thousand runs is found each time.
import { setImmediate as macrotask, setTimeout as sleep } from "node:timers/promises";

/** Makes one step of a side: `step` runs when the scheduler lets it, and no other step runs meanwhile. */
export type Step = <Result>(step: () => Promise<Result>) => Promise<Result>;

export interface OrderOptions {
  /** How many things run at once. */
  readonly sides: number;
  /**
   * How often one side is interrupted by another at most, in one order. Two or three find nearly all faults, and
   * without a bound the number of orders explodes.
   */
  readonly switches: number;
}

/** Starts all sides, each with its own way to make steps; resolves when all are over and were checked. */
export type Scenario = (steps: readonly Step[]) => Promise<void>;

interface Decision {
  /** Sides that wait with a step. */
  readonly options: readonly number[];
  readonly chosen: number;
  /** Interruptions until then. */
  readonly switches: number;
}

/** @returns how many orders were played */
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

/** The orders that differ from one that was played, for the first time behind what it was given. */
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

/** Lets one step run at a time, in the order it was given; behind that each side goes on as long as it can. */
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
    // The caller is told by the last line.
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

/** Until every side waits with its next step, is over, or sleeps for longer than a millisecond. */
async function untilIdle(): Promise<void> {
  await macrotask();
  // Behind the timers of sides that pause for no time: those of one length end in their order.
  await sleep(1);
  await macrotask();
}
