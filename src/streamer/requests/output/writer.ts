import { setImmediate as turn } from "node:timers/promises";
import { logSafely } from "../../../internal/log-safely.ts";
import { LiftError, type Logger } from "../../../lift/index.ts";
import { type Json, utf8Length } from "../../../protocol/index.ts";
import type { OutputHead, OutputItem } from "../../../store/index.ts";
import { toJson } from "../../schemas.ts";
import { untilAborted } from "./until-aborted.ts";

/** The output of a request, as its handler writes it. Chunks are gathered, stored, and only then sent. */
export interface RequestOutput {
  /**
   * How many chunks earlier attempts have written. Output is never taken back, so a handler that runs again goes on after
   * them.
   */
  readonly written: number;
  /**
   * Writes a chunk: a text, or any JSON value of at most 65,536 bytes. Texts that follow each other are joined. Resolves when
   * the next chunk may be written: at once while little waits to be stored. Await it, so that a slow store slows the handler.
   * The handler's end waits for the rest. Without an `await`, an error is only logged, and its chunk is missing.
   * @throws {LiftError} NOT_JSON, TOO_LARGE, RATE_LIMITED (the output has reached its limit), STORE_FAILED; CANCELLED when
   * the request is not this handler's any more
   * @example
   * for await (const token of model.stream(prompt, { signal })) await output.write(token);
   */
  write(chunk: unknown): Promise<void>;
  /**
   * Writes everything that a source yields: a stream of Node or the web, or any iterable. Bytes are decoded as UTF-8. Splits
   * text into chunks of about 10,000 UTF-16 code units, and skips empty text. Stops when the request's `signal` aborts: cancels
   * the source, and throws the signal's reason.
   * @example
   * await output.from(response.body);
   */
  from(source: AsyncIterable<unknown> | Iterable<unknown>): Promise<void>;
}

/** The largest chunk, in bytes of JSON. */
const MAX_CHUNK_BYTES = 65_536;
/** An item is stored before its time once it has this many bytes. */
const ITEM_BYTES = 4_096;
/** The largest item. */
const MAX_ITEM_BYTES = MAX_CHUNK_BYTES;
/** The longest text that `from` writes as one chunk, in UTF-16 code units. Each takes at most 6 bytes of JSON. */
const MAX_TEXT_LENGTH = 10_000;
/** `write` waits while more than this many bytes wait to be stored. */
const MAX_WAITING_BYTES = 65_536;

interface OutputWriterOptions {
  /** The end of what earlier attempts have written. */
  readonly head: OutputHead;
  readonly gatherMs: number;
  /** The largest output, with what earlier attempts have written. */
  readonly maxBytes: number;
  /** Aborts with a `LiftError` when nothing more may be written. */
  readonly signal: AbortSignal;
  /** ms since the epoch. */
  readonly now: () => number;
  /** Stores an item; rejects with a `LiftError`. */
  readonly append: (item: OutputItem) => Promise<void>;
  readonly logger: Logger;
  /** Sends a stored item. Never rejects. */
  readonly send: (item: OutputItem) => Promise<void>;
}

interface Gathered {
  readonly data: { text: string } | { values: Json[] };
  bytes: number;
  chunks: number;
}

/** Gathers chunks into items, and stores the items one after the other. */
export class OutputWriter implements RequestOutput {
  readonly written: number;
  readonly #options: OutputWriterOptions;
  readonly #waiting: Gathered[] = [];
  #waitingBytes = 0;
  /** Written so far, with what waits to be stored. */
  #bytes: number;
  #head: OutputHead;
  #timer: NodeJS.Timeout | undefined;
  #storing: Promise<void> | undefined;
  /** Sends in order. */
  #sending: Promise<void> = Promise.resolve();
  #error: unknown;

  constructor(options: OutputWriterOptions) {
    this.#options = options;
    this.#head = options.head;
    this.#bytes = options.head.bytes;
    this.written = options.head.chunks;
  }

  /** The offset of the last stored item. */
  get offset(): number {
    return this.#head.offset;
  }

  /** Whether the item after `offset` may be stored: its append has failed, perhaps after the store's write. */
  get isUncertain(): boolean {
    return this.#error !== undefined;
  }

  write(chunk: unknown): Promise<void> {
    return this.#report(this.#write(chunk));
  }

  from(source: AsyncIterable<unknown> | Iterable<unknown>): Promise<void> {
    return this.#report(this.#writeAll(source));
  }

  /** Handles a rejection that the handler may not wait for: it would end the process. */
  #report(writing: Promise<void>): Promise<void> {
    const { signal, logger } = this.#options;
    writing.catch((error: unknown) => {
      // A handler that was stopped may write on.
      if (!signal.aborted) logSafely(logger, "warn", "Output was refused", { error });
    });
    return writing;
  }

  async #write(chunk: unknown): Promise<void> {
    this.#assertOpen();
    const value = typeof chunk === "string" ? chunk : toJson(chunk);
    const bytes = utf8Length(JSON.stringify(value));
    if (bytes > MAX_CHUNK_BYTES) {
      const message = `The chunk has ${bytes} bytes; an output accepts at most ${MAX_CHUNK_BYTES}`;
      throw new LiftError("TOO_LARGE", { status: 413, message });
    }
    if (this.#bytes + bytes > this.#options.maxBytes) {
      const message = `The output exceeds ${this.#options.maxBytes} bytes`;
      throw new LiftError("RATE_LIMITED", { message, retry: false });
    }
    this.#bytes += bytes;
    this.#gather(value, bytes);
    this.#waitingBytes += bytes;
    this.#schedule();
    while (this.#waitingBytes > MAX_WAITING_BYTES) {
      await this.#store();
      this.#assertOpen();
    }
  }

  async #writeAll(source: AsyncIterable<unknown> | Iterable<unknown>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of untilAborted(source, this.#options.signal)) {
      const value = chunk instanceof Uint8Array ? decoder.decode(chunk, { stream: true }) : chunk;
      await (typeof value === "string" ? this.#writeText(value) : this.write(value));
    }
    await this.#writeText(decoder.decode());
  }

  /** Stores and sends everything that was written. @throws {LiftError} */
  async end(): Promise<void> {
    while (this.#waiting.length > 0 || this.#storing !== undefined) {
      this.#assertOpen();
      await this.#store();
    }
    this.#assertOpen();
    await this.#sending;
  }

  /** Drops what waits to be stored. Resolves when what is on its way to the store, and was sent after it, has ended. */
  async cancel(): Promise<void> {
    this.#drop();
    await this.#storing?.catch(() => {});
    await this.#sending;
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  async #writeText(text: string): Promise<void> {
    for (let start = 0, end = 0; start < text.length; start = end) {
      end = endOfPiece(text, start, MAX_TEXT_LENGTH);
      await this.write(text.slice(start, end));
    }
  }

  #assertOpen(): void {
    this.#options.signal.throwIfAborted();
    if (this.#error !== undefined) throw this.#error;
  }

  #gather(value: Json, bytes: number): void {
    const last = this.#waiting.at(-1);
    // The first item may be on its way to the store.
    const isOpen = last !== undefined && (this.#waiting.length > 1 || this.#storing === undefined);
    const fits = isOpen && last.bytes + bytes <= MAX_ITEM_BYTES;
    if (fits && append(last.data, value)) {
      last.bytes += bytes;
      last.chunks++;
    } else {
      const data = typeof value === "string" ? { text: value } : { values: [value] };
      this.#waiting.push({ data, bytes, chunks: 1 });
    }
  }

  #schedule(): void {
    if (this.#waitingBytes >= ITEM_BYTES || this.#options.gatherMs === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#store().catch(() => {});
    } else {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#store().catch(() => {});
      }, this.#options.gatherMs);
    }
  }

  /** Stores the items that wait now; later ones gather. Its error is thrown by every later call too. */
  #store(): Promise<void> {
    this.#storing ??= this.#storeAll().finally(() => {
      this.#storing = undefined;
      if (this.#waiting.length > 0) this.#schedule();
    });
    return this.#storing;
  }

  async #storeAll(): Promise<void> {
    try {
      for (let left = this.#waiting.length; left > 0; left--) {
        const next = this.#waiting[0];
        if (next === undefined) return;
        const item: OutputItem = {
          offset: this.#head.offset + 1,
          data: next.data,
          chunks: this.#head.chunks + next.chunks,
          bytes: this.#head.bytes + next.bytes,
          at: this.#options.now(),
        };
        await this.#options.append(item);
        this.#head = item;
        this.#waitingBytes -= next.bytes;
        this.#waiting.shift();
        this.#sending = this.#sending.then(() => this.#options.send(item));
      }
      // A store in memory answers within a turn of the event loop, and a handler that writes on would leave no other turn.
      await turn();
    } catch (error) {
      this.#error = error;
      this.#drop();
      throw error;
    }
  }
}

/** Adds a value to data of its kind. @returns whether it is of its kind */
function append(data: Gathered["data"], value: Json): boolean {
  if (typeof value === "string" && "text" in data) data.text += value;
  else if (typeof value !== "string" && "values" in data) data.values.push(value);
  else return false;
  return true;
}

/** Joins items of the same kind, so that a late reader gets few messages. `chunks`, `bytes` and `at` are those of the last one. */
export function compactOutput(items: readonly (OutputItem | CompactItem)[], maxBytes: number): CompactItem[] {
  const compact: (CompactItem & { readonly data: Joined; readonly size: number })[] = [];
  for (const item of items) {
    const size = utf8Length(JSON.stringify(item.data));
    const last = compact.at(-1);
    const data = last && last.size + size <= maxBytes ? join(last.data, item.data) : undefined;
    if (last !== undefined && data !== undefined) {
      compact[compact.length - 1] = { ...item, data, from: last.from, size: last.size + size };
    } else {
      compact.push({ from: item.offset, ...item, data: join({}, item.data)!, size });
    }
  }
  return compact.map(({ size: _, ...item }) => item);
}

/** An item that covers those from the offset `from`. */
export interface CompactItem extends OutputItem {
  readonly from: number;
}

type Joined = Gathered["data"] | { readonly [none: string]: never };

/** Appends to `one.values` in place: copies would take quadratic time. @returns `undefined`: they are of different kinds */
function join(one: Joined, other: OutputData): Joined | undefined {
  if (!isText(other) && !isValues(other)) return one;
  if (isText(other)) return isValues(one) ? undefined : { text: (isText(one) ? one.text : "") + other.text };
  if (isText(one)) return undefined;
  if (!isValues(one)) return { values: [...other.values] };
  for (const value of other.values) one.values.push(value);
  return one;
}

/** Returns where a piece of a text ends: after `length` UTF-16 code units, and never within a character. */
export function endOfPiece(text: string, start: number, length: number): number {
  const end = start + length;
  return /[\ud800-\udbff]/.test(text.charAt(end - 1)) ? end + 1 : end;
}

/** The data of an item of an output. */
type OutputData = OutputItem["data"];

function isText(data: OutputData): data is { readonly text: string } {
  return "text" in data;
}

function isValues(data: OutputData): data is { readonly values: readonly Json[] } {
  return "values" in data;
}
