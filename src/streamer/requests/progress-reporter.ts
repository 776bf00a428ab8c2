import type { StandardSchemaV1 } from "@standard-schema/spec";
import { elapsed } from "../../internal/elapsed.ts";
import { logSafely } from "../../internal/log-safely.ts";
import type { Logger } from "../../lift/index.ts";
import { type Json, utf8Length } from "../../protocol/index.ts";
import type { RequestProgress } from "../../store/index.ts";

/** ms between two messages: ten a second. */
const SEND_INTERVAL_MS = 100;
/** ms between two writes to the store. */
const STORE_INTERVAL_MS = 1_000;
const MAX_MESSAGE_LENGTH = 1_000;
const MAX_DETAILS_BYTES = 8_192;

interface ProgressReporterOptions {
  readonly schema: StandardSchemaV1 | undefined;
  readonly logger: Logger;
  /** Never rejects. */
  readonly send: (progress: RequestProgress) => Promise<unknown>;
  /** Stores the latest progress, except the last one. Never rejects. */
  readonly store: (progress: RequestProgress) => Promise<unknown>;
}

/** Sends and stores a handler's progress: the latest one wins, the last one is never dropped, and the handler never waits. */
export class ProgressReporter {
  readonly #options: ProgressReporterOptions;
  readonly #sending: Throttle<RequestProgress>;
  readonly #storing: Throttle<RequestProgress>;
  #percentage = 0;
  #isClosed = false;
  #unstored: RequestProgress | undefined;

  constructor(options: ProgressReporterOptions) {
    this.#options = options;
    this.#sending = new Throttle(SEND_INTERVAL_MS, options.send);
    this.#storing = new Throttle(STORE_INTERVAL_MS, options.store);
  }

  /** Keeps the last percentage if the new one is not a number. */
  report(percentage: number, message?: string, details?: unknown): void {
    if (this.#isClosed) return;
    if (typeof percentage === "number" && !Number.isNaN(percentage)) {
      this.#percentage = Math.min(100, Math.max(0, percentage));
    }
    const text = this.#toMessage(message);
    const json = this.#toDetails(details);
    const progress: RequestProgress = {
      percentage: this.#percentage,
      ...(text === undefined ? {} : { message: text }),
      ...(json === undefined ? {} : { details: json }),
    };
    this.#sending.push(progress);
    this.#storing.push(progress);
  }

  /** Sends the last progress, and nothing more. @returns it, if it is not stored: the write that ends the attempt takes it */
  async close(): Promise<RequestProgress | undefined> {
    this.#isClosed = true;
    const [unstored] = await Promise.all([this.#storing.take(), this.#sending.flush()]);
    // That write may fail, and another one follows.
    this.#unstored ??= unstored;
    return this.#unstored;
  }

  /** Ends without sending anything more. */
  cancel(): void {
    this.#isClosed = true;
    this.#storing.cancel();
    this.#sending.cancel();
  }

  /** Any value may come from untyped code. */
  #toMessage(message: unknown): string | undefined {
    if (message === undefined) return undefined;
    try {
      return String(message).slice(0, MAX_MESSAGE_LENGTH);
    } catch (error) {
      logSafely(this.#options.logger, "warn", "The message of a progress was dropped", { error });
      return undefined;
    }
  }

  #toDetails(details: unknown): Json | undefined {
    if (details === undefined) return undefined;
    try {
      const { schema } = this.#options;
      const result = schema?.["~standard"].validate(details);
      if (result instanceof Promise) throw new TypeError("The schema of `progress` must be synchronous");
      if (result?.issues !== undefined) throw new TypeError(`Invalid details: ${result.issues[0]?.message}`);
      const text = JSON.stringify(result === undefined ? details : result.value);
      if (text === undefined) throw new TypeError("The details are not JSON");
      if (utf8Length(text) > MAX_DETAILS_BYTES)
        throw new TypeError(`The details exceed ${MAX_DETAILS_BYTES} bytes`);
      return JSON.parse(text) as Json;
    } catch (error) {
      logSafely(this.#options.logger, "warn", "The details of a progress were dropped", { error });
      return undefined;
    }
  }
}

/** Passes on the latest value, at most one per interval, one at a time. */
class Throttle<Value> {
  readonly #intervalMs: number;
  readonly #pass: (value: Value) => Promise<unknown>;
  #waiting: { readonly value: Value } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #passedAt = Number.NEGATIVE_INFINITY;
  #passing: Promise<unknown> | undefined;

  constructor(intervalMs: number, pass: (value: Value) => Promise<unknown>) {
    this.#intervalMs = intervalMs;
    this.#pass = pass;
  }

  push(value: Value): void {
    this.#waiting = { value };
    this.#schedule();
  }

  async flush(): Promise<void> {
    // The end of one pass may have started the next one.
    while (this.#passing !== undefined || this.#waiting !== undefined) {
      if (this.#passing === undefined) this.#run();
      await this.#passing;
    }
  }

  /** Ends without passing on the latest value. @returns it */
  async take(): Promise<Value | undefined> {
    const waiting = this.#waiting;
    this.cancel();
    await this.#passing;
    return waiting?.value;
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#waiting = undefined;
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#passing !== undefined) return;
    const delayMs = this.#passedAt + this.#intervalMs - elapsed();
    if (delayMs <= 0) {
      this.#run();
    } else {
      this.#timer = setTimeout(() => this.#run(), delayMs);
      this.#timer.unref();
    }
  }

  #run(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    this.#passedAt = elapsed();
    this.#passing = this.#pass(waiting.value).finally(() => {
      this.#passing = undefined;
      if (this.#waiting !== undefined) this.#schedule();
    });
  }
}
