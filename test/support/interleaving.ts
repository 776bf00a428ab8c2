// Runs concurrent code in many orders of its steps, so that rare races show in every run.
import { setImmediate as macrotask, setTimeout as sleep } from "node:timers/promises";
import { Random } from "../history/random.ts";
import { SEED } from "./seed.ts";

/** Runs one step of a side when the scheduler allows it. No other step runs at the same time. */
export type Step = <Result>(step: () => Promise<Result>) => Promise<Result>;

export interface OrderOptions {
  /**
   * Plays every order in which the sides interrupt each other at most this many times. Two or three find nearly all
   * faults, and without a bound the number of orders explodes.
   */
  readonly switches: number;
  /** Maximum number of these orders, those with the fewest interruptions first. Default: all. */
  readonly most?: number;
  /** Number of further orders, drawn at random with any number of interruptions. Default: 0. */
  readonly random?: number;
}

/** Concurrent sides, and the check of what they did. */
export interface Overlap<Result> {
  /** Each side does the same in each run, as long as the others do. */
  readonly sides: readonly ((step: Step) => Promise<Result>)[];
  /** Called with the results of the sides when all have ended. */
  readonly check: (results: readonly Result[]) => Promise<void> | void;
}

interface Decision {
  /** Sides with a waiting step. */
  readonly options: readonly number[];
  readonly chosen: number;
  /** Number of interruptions before. */
  readonly switches: number;
}

/** Chooses the side that continues. @param current the side that ran the last step, if it has another one */
type Choose = (options: readonly number[], current: number | undefined, index: number) => number;

/**
 * Plays all orders with few interruptions, and then random ones.
 * @param prepare called for each order
 * @returns the number of orders that ran
 */
export async function runInEveryOrder<Result>(
  { switches, most = Number.POSITIVE_INFINITY, random = 0 }: OrderOptions,
  prepare: () => Promise<Overlap<Result>>,
): Promise<number> {
  /** By number of interruptions. */
  const unplayed = Array.from({ length: switches + 1 }, (): (readonly number[])[] => []);
  unplayed[0]!.push([]);
  let played = 0;
  for (const orders of unplayed) {
    for (let order = orders.pop(); order !== undefined && played < most; order = orders.pop()) {
      const decisions = await playOrder(prepare, inOrder(order));
      played++;
      for (const other of alternatives(decisions, order.length)) {
        unplayed[other.switches]?.push(other.order);
      }
    }
  }
  const source = new Random(SEED);
  for (let drawn = 0; drawn < random; drawn++) await playOrder(prepare, atRandom(source.fork()));
  return played + random;
}

async function playOrder<Result>(
  prepare: () => Promise<Overlap<Result>>,
  choose: Choose,
): Promise<readonly Decision[]> {
  const { sides, check } = await prepare();
  const scheduler = new Scheduler(sides.length, choose);
  try {
    await check(await scheduler.run(sides));
  } catch (error) {
    const taken = scheduler.decisions.map(({ chosen }) => chosen).join("");
    throw new Error(`In the order ${taken}: ${(error as Error).message}`, { cause: error });
  }
  return scheduler.decisions;
}

/** Follows an order. After it, each side continues as long as it can. */
function inOrder(order: readonly number[]): Choose {
  return (options, current, index) => {
    const chosen = order[index] ?? current ?? options[0]!;
    if (!options.includes(chosen)) throw new Error("The sides did not do again what they did before");
    return chosen;
  };
}

/** Draws how often the sides interrupt each other too, because some faults need many interruptions and others few. */
function atRandom(random: Random): Choose {
  const probability = random.between(0.1, 1);
  return (options, current) =>
    current === undefined || random.chance(probability) ? random.pick(options) : current;
}

interface Alternative {
  readonly order: readonly number[];
  readonly switches: number;
}

/** Orders that differ from a completed one after its given prefix. */
function alternatives(decisions: readonly Decision[], given: number): Alternative[] {
  const chosen = decisions.map((decision) => decision.chosen);
  return decisions.flatMap(({ options, chosen: taken, switches }, at) => {
    if (at < given) return [];
    const before = chosen[at - 1];
    /** Whether the choice of a side interrupts the side before. */
    const interrupts = (side: number) => before !== undefined && options.includes(before) && side !== before;
    return options
      .filter((side) => side !== taken)
      .map((side) => ({
        order: [...chosen.slice(0, at), side],
        switches: switches - Number(interrupts(taken)) + Number(interrupts(side)),
      }));
  });
}

/** Runs the steps of the sides, one at a time. */
class Scheduler {
  readonly decisions: Decision[] = [];
  readonly #choose: Choose;
  readonly #waiting: (() => Promise<void>)[][];
  /** Sides that have ended. */
  readonly #ended = new Set<number>();
  #wake = () => {};

  constructor(sides: number, choose: Choose) {
    this.#choose = choose;
    this.#waiting = Array.from({ length: sides }, () => []);
  }

  async run<Result>(sides: Overlap<Result>["sides"]): Promise<Result[]> {
    const results = Promise.all(sides.map((side, index) => this.#start(side, index)));
    // The last line reports the error to the caller.
    results.catch(() => {});
    for (;;) {
      await this.#untilIdle();
      const next = this.#next();
      if (next !== undefined) await next();
      else if (this.#ended.size === sides.length) break;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return results;
  }

  async #start<Result>(side: (step: Step) => Promise<Result>, index: number): Promise<Result> {
    try {
      return await side((step) => this.#queue(index, step));
    } finally {
      this.#ended.add(index);
      this.#wake();
    }
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
    const chosen = this.#choose(options, current, this.decisions.length);
    const switches = (last?.switches ?? 0) + Number(current !== undefined && chosen !== current);
    this.decisions.push({ options, chosen, switches });
    return this.#waiting[chosen]!.shift()!;
  }

  /** Resolves when every side waits with a step, has ended, or sleeps for longer than a millisecond. */
  async #untilIdle(): Promise<void> {
    // Work that yields to the event loop between two steps does so once or twice.
    for (let turn = 0; turn < 3; turn++) await macrotask();
    const isIdle = this.#waiting.every((steps, side) => steps.length > 0 || this.#ended.has(side));
    if (isIdle) return;
    // After the timers of sides that pause for 0 ms: timers of equal length fire in order.
    await sleep(1);
    await macrotask();
  }
}
