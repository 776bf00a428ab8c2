import { setTimeout as sleep } from "node:timers/promises";
import type { TableStreamEvent, TableStreamRecord } from "./record.ts";

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;

/** Records that the function will not receive again. */
export interface DiscardedRecords {
  /** The reason, with the name that the service uses. */
  readonly condition: "RetryAttemptsExhausted" | "RecordAgeExceeded";
  /** The discarded records. */
  readonly records: readonly TableStreamRecord[];
  /** The function's last error, if it threw one. */
  readonly error?: unknown;
}

/** Settings of the delivery to a function. */
export interface DeliverySettings {
  readonly handler: (event: TableStreamEvent) => unknown;
  readonly maxRetries: number;
  readonly maxRecordAgeMs: number;
  readonly bisectOnError: boolean;
  readonly reportBatchItemFailures: boolean;
  readonly onFailure: (discarded: DiscardedRecords) => unknown;
  readonly onError: (error: unknown) => void;
  /** Returns ms since the epoch. */
  readonly now: () => number;
}

/** The outcome of one call of the function. */
interface CallOutcome {
  /** Number of records that the function has processed, counted from the first. */
  readonly done: number;
  readonly error?: unknown;
}

/** Delivers the batches of one shard. Retries each until it is processed, too old, or out of retries. */
export class BatchDelivery {
  readonly #settings: DeliverySettings;
  readonly #signal: AbortSignal;

  /** @param signal stops the delivery; a running call continues */
  constructor(settings: DeliverySettings, signal: AbortSignal) {
    this.#settings = settings;
    this.#signal = signal;
  }

  async deliver(batch: readonly TableStreamRecord[]): Promise<void> {
    const { bisectOnError, maxRetries } = this.#settings;
    let records = batch;
    for (let retries = 0; !this.#signal.aborted; retries++) {
      records = await this.#dropOld(records);
      if (records.length === 0) return;
      const { done, error } = await this.#call(records);
      if (done === records.length) return;
      records = records.slice(done);
      // The first remaining record has been tried only once.
      if (done > 0) retries = 0;
      else if (bisectOnError && records.length > 1) return this.#deliverHalves(records);
      if (retries >= maxRetries) {
        return this.#discard({ condition: "RetryAttemptsExhausted", records, error });
      }
      await this.#pause(retries);
    }
  }

  /** Delivers each half with retries of its own. */
  async #deliverHalves(records: readonly TableStreamRecord[]): Promise<void> {
    const middle = Math.ceil(records.length / 2);
    await this.#pause(0);
    await this.deliver(records.slice(0, middle));
    await this.deliver(records.slice(middle));
  }

  async #call(records: readonly TableStreamRecord[]): Promise<CallOutcome> {
    try {
      const result = await this.#settings.handler({ Records: records });
      return {
        done: this.#settings.reportBatchItemFailures
          ? countBeforeFirstFailure(result, records)
          : records.length,
      };
    } catch (error) {
      return { done: 0, error };
    }
  }

  /** Discards the records that are too old, and returns the others. */
  async #dropOld(records: readonly TableStreamRecord[]): Promise<readonly TableStreamRecord[]> {
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
 * Counts the records before the first one that the function reports as failed.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
 */
function countBeforeFirstFailure(result: unknown, records: readonly TableStreamRecord[]): number {
  const failures = (result as { batchItemFailures?: unknown } | null | undefined)?.batchItemFailures;
  if (!Array.isArray(failures) || failures.length === 0) return records.length;
  const reported = failures.map((failure) => {
    const identifier: unknown = (failure as { itemIdentifier?: unknown } | null)?.itemIdentifier;
    return records.findIndex(({ dynamodb }) => dynamodb.SequenceNumber === identifier);
  });
  // An identifier that is not in the batch fails the whole batch.
  return Math.max(0, Math.min(...reported));
}
