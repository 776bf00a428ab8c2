import type { Retry } from "../../../aws/index.ts";
import { StoreError } from "../../contracts/errors.ts";

/** Those in this process who want the same thing, one after the other: at once they would only be in each other's way. */
export class HeadQueue<Left> {
  readonly #last = new Map<string, Promise<Left | undefined>>();

  /**
   * @param work is given what the one just before has left, if it did not fail and there was one
   * @throws {StoreError} STORE_UNAVAILABLE when the time of the retry is over before its turn
   */
  async take<Result>(
    name: string,
    retry: Retry,
    work: (left: Left | undefined) => Promise<{ readonly result: Result; readonly left: Left }>,
  ): Promise<Result> {
    const before = this.#last.get(name);
    const turn = before === undefined ? work(undefined) : untilDone(before, retry).then(work);
    const after = turn.then(
      ({ left }) => left,
      () => undefined,
    );
    this.#last.set(name, after);
    try {
      return (await turn).result;
    } finally {
      if (this.#last.get(name) === after) this.#last.delete(name);
    }
  }
}

async function untilDone<Left>(before: Promise<Left>, retry: Retry): Promise<Left> {
  try {
    return await retry.run(() => before);
  } catch (cause) {
    throw new StoreError("STORE_UNAVAILABLE", "Others in this process were not done in time", { cause });
  }
}
