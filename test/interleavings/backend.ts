import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChannelStore, ConnectionStore, Schedule } from "../../src/store/index.ts";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "../../src/store/memory/index.ts";
import { sqliteChannelStore } from "../../src/store/sqlite/index.ts";
import type { TableStreamEvent } from "../../src/streamer/index.ts";
import type { Step } from "../support/interleaving.ts";
import { channelStoreWithSteps, withSteps } from "./steps.ts";

/** The stores of one container. */
export interface Stores {
  readonly store: ChannelStore;
  readonly connectionStore: ConnectionStore;
  readonly schedule: Schedule;
}

/** The stores that the containers of one order share. */
export interface SharedStores {
  /** Returns the stores of a container. Every call, or every request, is a step. */
  open(step?: Step): Stores;
  /** Returns the records of all stored messages, where a table's stream reports them. */
  readonly readTableStream?: () => Promise<TableStreamEvent>;
}

/** The stores of a test file. */
export interface Backend {
  /** ms since the epoch. */
  readonly now: () => number;
  readonly advance: (ms: number) => void;
  /** @param name is in the names of all channels and connections of the order */
  share(name: string): SharedStores;
  close(): Promise<void> | void;
}

const HOUR = 60 * 60_000;

/** A clock that tests move. It starts in the future, because DynamoDB would delete items of the past. */
export class TestClock {
  #time = Math.ceil(Date.now() / HOUR) * HOUR;
  readonly now = (): number => this.#time;
  readonly advance = (ms: number): void => {
    this.#time += ms;
  };
}

export function memoryBackend(): Backend {
  const clock = new TestClock();
  return { ...clock, share: () => shareMemory(clock), close: () => {} };
}

/** Histories are in a file; its members, connections and schedule are in memory, as in the product. */
export function sqliteBackend(): Backend {
  const clock = new TestClock();
  const folder = mkdtempSync(join(tmpdir(), "interleavings-"));
  const store = sqliteChannelStore({ path: join(folder, `${randomUUID()}.db`), now: clock.now });
  const close = () => {
    store.close();
    rmSync(folder, { recursive: true });
  };
  return { ...clock, share: () => shareMemory(clock, store), close };
}

function shareMemory({ now }: TestClock, store: ChannelStore = memoryChannelStore({ now })): SharedStores {
  const [connectionStore, schedule] = [memoryConnectionStore({ now }), memorySchedule()];
  return {
    open: (step) =>
      step === undefined
        ? { store, connectionStore, schedule }
        : {
            store: channelStoreWithSteps(store, step),
            connectionStore: withSteps(connectionStore, step),
            schedule: withSteps(schedule, step),
          },
  };
}
