import type { Schedule } from "../../store/index.ts";

/**
 * Brings what is scheduled from one load of an app to the next. A schedule in this process's memory is made by the
 * app's module, so each load makes another; the connections that it is to end stay.
 */
export class CarriedSchedule {
  #before: Schedule | undefined;
  #current: Schedule | undefined;

  /** From here on it is `schedule`. */
  async moveTo(schedule: Schedule | undefined): Promise<void> {
    await this.carry();
    this.#before = this.#current;
    this.#current = schedule;
    await this.carry();
  }

  /** Again, for what events that began on the load before have scheduled since. */
  async carry(): Promise<void> {
    const [from, to] = [this.#before, this.#current];
    // What is not in memory outlives a reload by itself.
    if (from === to || from?.all === undefined || to?.all === undefined) return;
    for (const item of from.all()) {
      await to.put(item);
      await from.delete(item);
    }
  }
}
