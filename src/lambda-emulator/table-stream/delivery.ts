import { setTimeout as sleep } from "node:timers/promises";
import type { TableStreamEvent, TableStreamRecord } from "./record.ts";

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;

/** Records that a function will not get again. */
export interface DiscardedRecords {
  readonly condition: "RetryAttemptsExhausted" | "RecordAgeExceeded";
  readonly records: readonly TableStreamRecord[];
  /** What the function threw last, where it did. */
  readonly error?: unknown;
}

export interface DeliverySettings {
  readonly handler: (event: TableStreamEvent) => unknown;
  readonly maxRetries: number;
  readonly maxRecordAgeMs: number;
  readonly bisectOnError: boolean;
  readonly reportBatchItemFailures: boolean;
  readonly onFailure: (discarded: DiscardedRecords) => unknown;
  readonly onError: (error: unknown) => void;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** What one call of the function came to. */
interface CallOutcome {
  /** Of the first record that it has not done; as many as there are: it has done all. */
  readonly done: number;
  readonly error?: unknown;
}

/** Hands one shard's batches to the function, each until it is done, or too old, or was tried too often. */
export class BatchDelivery {
  readonly #settings: DeliverySettings;
  readonly #signal: AbortSignal;

  /** @param signal ends it, but for a call that is under way */
  constructor(settings: DeliverySettings, signal: AbortSignal) {
    this.#settings = settings;
    this.#signal = signal;
  }

  async deliver(batch: readonly TableStreamRecord[]): Promise<void> {
    const { bisectOnError, maxRetries } = this.#settings;
    let records = batch;
    for (let retries = 0; !this.#signal.aborted; retries++) {
      records = await this.#youngOf(records);
      if (records.length === 0) return;
      const { done, error } = await this.#call(records);
      if (done === records.length) return;
      records = records.slice(done);
      // A record that is the first one only now was tried once.
      if (done > 0) retries = 0;
      else if (bisectOnError && records.length > 1) return this.#deliverHalves(records);
      if (retries >= maxRetries) {
        return this.#discard({ condition: "RetryAttemptsExhausted", records, error });
      }
      await this.#pause(retries);
    }
  }

  /** No try of either half counts for the other, nor do those of the whole. */
  async #deliverHalves(records: readonly TableStreamRecord[]): Promise<void> {
    const middle = Math.ceil(records.length / 2);
    await this.#pause(0);
    await this.deliver(records.slice(0, middle));
    await this.deliver(records.slice(middle));
  }

  async #call(records: readonly TableStreamRecord[]): Promise<CallOutcome> {
    try {
      const answer = await this.#settings.handler({ Records: records });
      return {
        done: this.#settings.reportBatchItemFailures
          ? countBeforeFirstFailure(answer, records)
          : records.length,
      };
    } catch (error) {
      return { done: 0, error };
    }
  }

  /** Without those that are past their age. */
  async #youngOf(records: readonly TableStreamRecord[]): Promise<readonly TableStreamRecord[]> {
    const oldest = this.#settings.now() - this.#settings.maxRecordAgeMs;
    const isOld = ({ dynamodb }: TableStreamRecord) => dynamodb.ApproximateCreationDateTime * 1_000 < oldest;
    const old = records.filter(isOld);
    if (old.length === 0) return records;
    await this.#discard({ condition: "RecordAgeExceeded", records: old });
    return records.filter((record) => !isOld(record));
  }

  async #discard(discarded: DiscardedRecords): Promise<void> {
    try {
      await this.#settings.onFailure(discarded);
    } catch (error) {
      this.#settings.onError(error);
    }
  }

  async #pause(retries: number): Promise<void> {
    const ms = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** retries);
    await sleep(ms, undefined, { signal: this.#signal }).catch(() => {});
  }
}

/**
 * How many records come before the first that the function reports.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
 */
function countBeforeFirstFailure(answer: unknown, records: readonly TableStreamRecord[]): number {
  const failures = (answer as { batchItemFailures?: unknown } | null | undefined)?.batchItemFailures;
  if (!Array.isArray(failures) || failures.length === 0) return records.length;
  const reported = failures.map((failure) => {
    const identifier: unknown = (failure as { itemIdentifier?: unknown } | null)?.itemIdentifier;
    return records.findIndex(({ dynamodb }) => dynamodb.SequenceNumber === identifier);
  });
  // What is no record of the batch fails all of it.
  return Math.max(0, Math.min(...reported));
}
