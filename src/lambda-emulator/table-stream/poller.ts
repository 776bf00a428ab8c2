import { setTimeout as sleep } from "node:timers/promises";
import { LambdaEmulatorError } from "../errors.ts";
import { BatchDelivery, type DeliverySettings, type DiscardedRecords } from "./delivery.ts";
import { createRecordFilter, type FilterPattern } from "./filter.ts";
import type { TableStreamEvent } from "./record.ts";
import { ShardReader, type ShardSettings } from "./shard.ts";
import { openTableStream, type ShardPosition, type TableStreamSource } from "./source.ts";

/** How an event source mapping of the service is set; defaults, minima and maxima are the service's. */
export interface TableStreamPollerOptions {
  /** What gets the batches: `(event) => lambdaFunction.invoke(event)`. What it throws fails all of its batch. */
  readonly handler: (event: TableStreamEvent) => unknown;
  /** What is there before the start counts, or only what comes from now on. Default `TRIM_HORIZON`. */
  readonly startingPosition?: "TRIM_HORIZON" | "LATEST";
  /** Records of a batch, of which 6 MB are the most. Default 100; 1 to 10,000. */
  readonly batchSize?: number;
  /** ms to wait for more from a batch's first record on. Default 0; at most 300,000. */
  readonly batchWindowMs?: number;
  /** Which records the function gets. Default: all. */
  readonly filter?: FilterPattern;
  /** After the first try. Default: until the record is too old. */
  readonly maxRetries?: number;
  /** Default: none, but a stream keeps its records for 24 hours. Minimum 60,000. */
  readonly maxRecordAgeMs?: number;
  /** Whether a batch that failed is tried again in halves. Default false. */
  readonly bisectOnError?: boolean;
  /** Whether the function's answer says from which record on it has failed. Default false: it is not looked at. */
  readonly reportBatchItemFailures?: boolean;
  /** Hears of records that are given up. The service's destination gets their numbers, not the records. Default: nobody. */
  readonly onFailure?: (discarded: DiscardedRecords) => unknown;
  /** Hears of a stream that can't be read; it is tried again. Default: nobody. */
  readonly onError?: (error: unknown) => void;
  /** ms between two looks at a shard without records, as the service's four a second. Default 250; minimum 1. */
  readonly pollMs?: number;
}

export interface TableStreamOptions extends TableStreamPollerOptions {
  readonly tableName: string;
  /** Of DynamoDB: `http://127.0.0.1:8000`. */
  readonly endpoint: string;
  /** Default `us-east-1`. The records name it, whatever DynamoDB Local calls itself. */
  readonly region?: string;
  /** DynamoDB Local takes any of letters and digits, and has tables for each unless it was told to share them. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

interface Check {
  readonly test: (value: unknown) => boolean;
  readonly takes: string;
}

const integer = (minimum: number, maximum = Number.MAX_SAFE_INTEGER): Check => ({
  test: (value: unknown) => Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum,
  takes: `an integer from ${minimum} to ${maximum}`,
});
const callback: Check = { test: (value: unknown) => typeof value === "function", takes: "a function" };
const flag: Check = { test: (value: unknown) => typeof value === "boolean", takes: "true or false" };

const CHECKS: { readonly [name in keyof Required<TableStreamPollerOptions>]: Check } = {
  handler: callback,
  startingPosition: {
    test: (value) => value === "TRIM_HORIZON" || value === "LATEST",
    takes: "TRIM_HORIZON or LATEST",
  },
  batchSize: integer(1, 10_000),
  batchWindowMs: integer(0, 300_000),
  filter: { test: (value) => typeof value === "object", takes: "a pattern" },
  maxRetries: integer(0),
  maxRecordAgeMs: integer(60_000),
  bisectOnError: flag,
  reportBatchItemFailures: flag,
  onFailure: callback,
  onError: callback,
  pollMs: integer(1),
};

/** New shards come every few hours, and when one has ended, which is looked for at once. */
const SHARDS_MS = 10_000;

/**
 * Feeds a function from a table's stream, as the service's event source mapping does: every shard on its own, a parent
 * before its children, in a shard one batch after the other, each until it is done. So the changes of one item come in
 * order, and each at least once. Where it is, it keeps in memory.
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

  /** Resolves when it has its place: what is written from then on is delivered. */
  async start(): Promise<this> {
    await this.#startShards();
    // What is new from now on has come after the start.
    this.#positionOfNew = "TRIM_HORIZON";
    this.#loop = this.#keepLooking();
    return this;
  }

  /** Resolves when a call that is under way has ended. What was not delivered is not. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await Promise.all(this.#running.values());
    this.#source.close();
  }

  async #keepLooking(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const either = AbortSignal.any([signal, this.#shardEnded.signal]);
      await sleep(SHARDS_MS, undefined, { signal: either }).catch(() => {});
      if (signal.aborted) return;
      this.#shardEnded = new AbortController();
      await this.#startShards().catch(this.#settings.onError);
    }
  }

  /** Every shard that is known, unless its parent is still read. */
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
    // Of a shard that is no more there are no children to wait.
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
 * Opens a table's stream, and feeds a function from it until `stop`.
 * @throws {LambdaEmulatorError} INVALID_OPTION, STREAM_UNAVAILABLE
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
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(CHECKS, name)) throw invalid(`${name} is none of ${Object.keys(CHECKS).join(", ")}`);
    const { test, takes } = CHECKS[name as keyof typeof CHECKS];
    if (value !== undefined && !test(value)) throw invalid(`${name} takes ${takes}`);
  }
  if (options.handler === undefined) throw invalid("handler is missing");
  return {
    handler: options.handler,
    batchSize: options.batchSize ?? 100,
    batchWindowMs: options.batchWindowMs ?? 0,
    filter: options.filter === undefined ? () => true : createRecordFilter(options.filter),
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

function invalid(what: string): LambdaEmulatorError {
  return new LambdaEmulatorError("INVALID_OPTION", `A stream's option ${what}`);
}
