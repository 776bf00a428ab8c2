import { setTimeout as sleep } from "node:timers/promises";
import type { BatchDelivery } from "./delivery.ts";
import type { TableStreamRecord } from "./record.ts";
import type { ShardPosition, TableStreamSource } from "./source.ts";

/** Maximum size of an event, in bytes: Lambda's limit for the payload of an invocation. */
const MAX_EVENT_BYTES = 6 * 1024 * 1024;

/** Settings of a `ShardReader`. */
export interface ShardSettings {
  /** Maximum number of records in a batch. */
  readonly batchSize: number;
  /** Maximum time in ms from the first record of a batch to its delivery. */
  readonly batchWindowMs: number;
  /** Time in ms to wait after a read that returned no records. */
  readonly pollMs: number;
  /** Records for which it returns false are skipped. */
  readonly filter: (record: TableStreamRecord) => boolean;
  readonly onError: (error: unknown) => void;
}

/** Reads one shard to its end, in batches. Delivers each batch before it gathers the next. */
export class ShardReader {
  readonly #source: TableStreamSource;
  readonly #shardId: string;
  readonly #settings: ShardSettings;
  readonly #signal: AbortSignal;
  /** Records that were read but are in no batch yet. */
  readonly #waiting: TableStreamRecord[] = [];
  /** Absent before the first read, after an error, and at the end of the shard. */
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

  /**
   * Gets an iterator at the reader's position. Records that are written after that are read from any position; older ones
   * only from `TRIM_HORIZON` or after a given record.
   */
  async begin(): Promise<void> {
    this.#iterator = await this.#source.iterator(this.#shardId, this.#position);
  }

  /** Resolves when all records of the shard have been delivered, or when the signal aborts. */
  async run(delivery: BatchDelivery): Promise<void> {
    for (;;) {
      const batch = await this.#gather();
      if (batch.length === 0 || this.#signal.aborted) return;
      await delivery.deliver(batch);
    }
  }

  /** Returns the next batch; empty at the end of the shard. */
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

  /** Reads records, and resolves to their number before the filter. */
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
      // An iterator expires after 15 minutes, and the database may be unavailable for a while.
      this.#iterator = undefined;
      // DynamoDB Local reports this for an iterator of an empty shard, whose position is before all records.
      if ((error as Error).name === "TrimmedDataAccessException") this.#position = "TRIM_HORIZON";
      else this.#settings.onError(error);
      return 0;
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#signal }).catch(() => {});
  }
}
