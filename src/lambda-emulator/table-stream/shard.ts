import { setTimeout as sleep } from "node:timers/promises";
import type { BatchDelivery } from "./delivery.ts";
import type { TableStreamRecord } from "./record.ts";
import type { ShardPosition, TableStreamSource } from "./source.ts";

/** What Lambda takes as an event. */
const MAX_EVENT_BYTES = 6 * 1024 * 1024;

export interface ShardSettings {
  readonly batchSize: number;
  readonly batchWindowMs: number;
  readonly pollMs: number;
  readonly filter: (record: TableStreamRecord) => boolean;
  readonly onError: (error: unknown) => void;
}

/** Reads one shard to its end, batch after batch: the next is read when the one before is done. */
export class ShardReader {
  readonly #source: TableStreamSource;
  readonly #shardId: string;
  readonly #settings: ShardSettings;
  readonly #signal: AbortSignal;
  /** Read, and in no batch yet. */
  readonly #waiting: TableStreamRecord[] = [];
  /** Absent: a position must be asked for again. */
  #iterator: string | undefined;
  #position: ShardPosition;
  #ended = false;

  constructor(
    source: TableStreamSource,
    shardId: string,
    position: ShardPosition,
    settings: ShardSettings,
    signal: AbortSignal,
  ) {
    this.#source = source;
    this.#shardId = shardId;
    this.#position = position;
    this.#settings = settings;
    this.#signal = signal;
  }

  /** Takes its place: what is written from now on is read, wherever it begins. */
  async begin(): Promise<void> {
    this.#iterator = await this.#source.iterator(this.#shardId, this.#position);
  }

  /** Resolves when the shard is at its end, and every record of it delivered, or when it was aborted. */
  async run(delivery: BatchDelivery): Promise<void> {
    for (;;) {
      const batch = await this.#gather();
      if (batch.length === 0 || this.#signal.aborted) return;
      await delivery.deliver(batch);
    }
  }

  /** Empty: there will be no more. */
  async #gather(): Promise<TableStreamRecord[]> {
    const { batchSize, batchWindowMs, pollMs } = this.#settings;
    const batch: TableStreamRecord[] = [];
    let bytes = 0;
    let windowEnd = Number.POSITIVE_INFINITY;
    while (!this.#signal.aborted) {
      for (let record = this.#waiting[0]; record !== undefined; record = this.#waiting[0]) {
        bytes += Buffer.byteLength(JSON.stringify(record));
        if (batch.length === batchSize || (bytes > MAX_EVENT_BYTES && batch.length > 0)) return batch;
        if (batch.length === 0) windowEnd = performance.now() + batchWindowMs;
        batch.push(record);
        this.#waiting.shift();
      }
      const windowLeft = windowEnd - performance.now();
      if (this.#ended || batch.length === batchSize || windowLeft <= 0) return batch;
      if ((await this.#read()) === 0 && !this.#ended) await this.#pause(Math.min(pollMs, windowLeft));
    }
    return [];
  }

  /** Resolves to how many there were. */
  async #read(): Promise<number> {
    try {
      if (this.#iterator === undefined) await this.begin();
      const { records, next } = await this.#source.read(this.#iterator!);
      this.#iterator = next;
      this.#ended = next === undefined;
      const last = records.at(-1);
      if (last !== undefined) this.#position = { after: last.dynamodb.SequenceNumber };
      this.#waiting.push(...records.filter(this.#settings.filter));
      return records.length;
    } catch (error) {
      // An iterator lasts 15 minutes, and a database may be away for a while.
      this.#iterator = undefined;
      // Its place was before all that is there: so DynamoDB Local says of one that was taken in an empty shard.
      if ((error as Error).name === "TrimmedDataAccessException") this.#position = "TRIM_HORIZON";
      else this.#settings.onError(error);
      return 0;
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#signal }).catch(() => {});
  }
}
