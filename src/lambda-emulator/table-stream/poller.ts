import { setTimeout as sleep } from "node:timers/promises";
import {
  anyFunction,
  boolean,
  findOptionFault,
  integer,
  type OptionChecks,
  record,
} from "../../internal/options.ts";
import { LambdaEmulatorError } from "../errors.ts";
import { BatchDelivery, type DeliverySettings, type DiscardedRecords } from "./delivery.ts";
import { createFilter, type FilterPattern } from "./filter.ts";
import type { TableStreamEvent } from "./record.ts";
import { ShardReader, type ShardSettings } from "./shard.ts";
import { openTableStream, type ShardPosition, type TableStreamSource } from "./source.ts";

/** Settings of an event source mapping. Defaults and limits are those of the service. */
export interface TableStreamPollerOptions {
  /** Receives the batches: `(event) => lambdaFunction.invoke(event)`. An error fails the whole batch. */
  readonly handler: (event: TableStreamEvent) => unknown;
  /** Starts with the oldest record of the table stream, or with new records only. Default `TRIM_HORIZON`. */
  readonly startingPosition?: "TRIM_HORIZON" | "LATEST";
  /** Maximum records of a batch. A batch has at most 6 MB. Default 100; 1 to 10,000. */
  readonly batchSize?: number;
  /** Time to wait for more records after a batch's first one, in ms. Default 0; at most 300,000. */
  readonly batchWindowMs?: number;
  /** The records that the function receives. Default: all. */
  readonly filter?: FilterPattern;
  /** Retries after the first attempt. Default: until the record is too old. */
  readonly maxRetries?: number;
  /** Maximum age of a record, in ms. Minimum 60,000. Default: none, but a table stream keeps records for 24 hours. */
  readonly maxRecordAgeMs?: number;
  /** Retries a failed batch in halves. Default false. */
  readonly bisectOnError?: boolean;
  /** Reads from the function's result which record failed first. Default false. */
  readonly reportBatchItemFailures?: boolean;
  /** Receives discarded records. The destination of the service gets only their sequence numbers. Default none. */
  readonly onFailure?: (discarded: DiscardedRecords) => unknown;
  /** Receives read errors, which are retried. Default none. */
  readonly onError?: (error: unknown) => void;
  /** Interval between reads of a shard without records, in ms. Default 250, as in the service; minimum 1. */
  readonly pollMs?: number;
}

/** Options of {@link pollTableStream}. `handler`, `tableName`, `endpoint` and `credentials` are required. */
export interface TableStreamOptions extends TableStreamPollerOptions {
  /** The table. */
  readonly tableName: string;
  /** The DynamoDB endpoint, such as `http://127.0.0.1:8000`. */
  readonly endpoint: string;
  /** The region in records, because DynamoDB Local uses another name. Default `us-east-1`. */
  readonly region?: string;
  /** DynamoDB Local accepts letters and digits. Without `-sharedDb` it has separate tables for each access key. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

const CHECKS: OptionChecks<TableStreamPollerOptions> = {
  handler: anyFunction,
  startingPosition: {
    test: (value) => value === "TRIM_HORIZON" || value === "LATEST",
    expected: "TRIM_HORIZON or LATEST",
  },
  batchSize: integer(1, 10_000),
  batchWindowMs: integer(0, 300_000),
  filter: record,
  maxRetries: integer(0),
  maxRecordAgeMs: integer(60_000),
  bisectOnError: boolean,
  reportBatchItemFailures: boolean,
  onFailure: anyFunction,
  onError: anyFunction,
  pollMs: integer(1),
};

/** Interval between checks for new shards, in ms. New ones appear every few hours, and when a shard has ended. */
const SHARDS_MS = 10_000;

/**
 * Delivers the records of a table stream to a function, like an event source mapping. Shards are read in parallel, a parent
 * before its children. The batches of a shard are delivered one after the other, each until it is processed. So the changes
 * of an item are delivered in order, each at least once. The position is kept in memory only.
 */
export class TableStreamPoller {
  readonly #source: TableStreamSource;
  readonly #settings: ShardSettings & DeliverySettings;
  readonly #stopping = new AbortController();
  readonly #done = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  #positionOfNew: ShardPosition;
  #shardEnded = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  /** @throws {LambdaEmulatorError} INVALID_OPTION */
  constructor(source: TableStreamSource, options: TableStreamPollerOptions) {
    this.#settings = readOptions(options);
    this.#source = source;
    this.#positionOfNew = options.startingPosition ?? "TRIM_HORIZON";
  }

  /** Resolves when the positions are known. All later changes are delivered. */
  async start(): Promise<this> {
    await this.#startShards();
    // Shards that appear later are read from their beginning.
    this.#positionOfNew = "TRIM_HORIZON";
    this.#loop = this.#watchShards();
    return this;
  }

  /** Stops polling. Resolves when the running call has ended. Remaining records are not delivered. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await Promise.all(this.#running.values());
    this.#source.close();
  }

  async #watchShards(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const either = AbortSignal.any([signal, this.#shardEnded.signal]);
      await sleep(SHARDS_MS, undefined, { signal: either }).catch(() => {});
      if (signal.aborted) return;
      this.#shardEnded = new AbortController();
      await this.#startShards().catch(this.#settings.onError);
    }
  }

  /** Starts to read all known shards whose parents have been read. */
  async #startShards(): Promise<void> {
    const shards = await this.#source.shards();
    const known = new Set(shards.map(({ id }) => id));
    const fromLatest = this.#positionOfNew === "LATEST";
    if (fromLatest) for (const { id, closed } of shards) if (closed) this.#done.add(id);
    const isReady = (parentId: string | undefined) =>
      parentId === undefined || !known.has(parentId) || this.#done.has(parentId);
    for (const { id, parentId } of shards) {
      if (this.#done.has(id) || this.#running.has(id) || !isReady(parentId)) continue;
      await this.#startShard(id);
    }
    // Forget shards that no longer exist. No child waits for them.
    for (const id of this.#done) if (!known.has(id)) this.#done.delete(id);
  }

  async #startShard(id: string): Promise<void> {
    const { signal } = this.#stopping;
    const reader = new ShardReader(this.#source, id, this.#positionOfNew, this.#settings, signal);
    await reader.begin();
    const run = async () => {
      await reader.run(new BatchDelivery(this.#settings, signal));
      this.#running.delete(id);
      this.#done.add(id);
      this.#shardEnded.abort();
    };
    this.#running.set(id, run());
  }
}

/**
 * Polls a table stream and delivers its records to a function until `stop`.
 * @throws {LambdaEmulatorError} INVALID_OPTION, STREAM_UNAVAILABLE
 * @example
 * const poller = await pollTableStream({ tableName, endpoint, credentials, handler: (event) => fanOut.invoke(event) });
 */
export async function pollTableStream(options: TableStreamOptions): Promise<TableStreamPoller> {
  const { tableName, endpoint, region = "us-east-1", credentials, ...polling } = options;
  readOptions(polling);
  const source = await openTableStream({ tableName, endpoint, region, credentials });
  try {
    return await new TableStreamPoller(source, polling).start();
  } catch (error) {
    source.close();
    throw error;
  }
}

function readOptions(options: TableStreamPollerOptions): ShardSettings & DeliverySettings {
  const fault = findOptionFault(options, CHECKS, { required: ["handler"] });
  if (fault !== undefined) throw new LambdaEmulatorError("INVALID_OPTION", fault);
  return {
    handler: options.handler,
    batchSize: options.batchSize ?? 100,
    batchWindowMs: options.batchWindowMs ?? 0,
    filter: options.filter === undefined ? () => true : createFilter(options.filter),
    maxRetries: options.maxRetries ?? Number.POSITIVE_INFINITY,
    maxRecordAgeMs: options.maxRecordAgeMs ?? Number.POSITIVE_INFINITY,
    bisectOnError: options.bisectOnError ?? false,
    reportBatchItemFailures: options.reportBatchItemFailures ?? false,
    onFailure: options.onFailure ?? (() => {}),
    onError: options.onError ?? (() => {}),
    pollMs: options.pollMs ?? 250,
    now: Date.now,
  };
}
