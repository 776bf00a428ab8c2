import type { ClientError } from "./errors.ts";

/** The end of a sequence, with the error to throw. */
export interface Ending {
  readonly error?: ClientError | undefined;
}

/** An iterator over values that arrive over time. */
export interface Reader<Value> extends AsyncIterator<Value, undefined> {
  take(value: Value): void;
  end(ending: Ending): void;
}

export interface FeedOptions<Value> {
  /** How many unread values each iterator keeps. Default: all. */
  readonly size?: number;
  /** Called with an iterator's unread values when there are more than `size`. */
  onFull?(unread: Value[]): void;
  /** Called with each new iterator. */
  onOpen?(reader: Reader<Value>): void;
  /** Called when the application leaves its loop. */
  onLeave?(): void;
}

/** Values that arrive over time, for any number of iterators. */
export class Feed<Value> implements AsyncIterable<Value> {
  readonly #options: FeedOptions<Value>;
  readonly #readers = new Set<Reader<Value>>();
  #ending: Ending | undefined;

  constructor(options: FeedOptions<Value>) {
    this.#options = options;
  }

  get isRead(): boolean {
    return this.#readers.size > 0;
  }

  push(value: Value): void {
    for (const reader of this.#readers) reader.take(value);
  }

  end(error?: ClientError): void {
    this.#ending ??= { error };
    for (const reader of this.#readers) reader.end(this.#ending);
  }

  [Symbol.asyncIterator](): AsyncIterator<Value, undefined> {
    const reader = createReader(this.#options, () => this.#readers.delete(reader));
    this.#readers.add(reader);
    this.#options.onOpen?.(reader);
    if (this.#ending) reader.end(this.#ending);
    return reader;
  }
}

/** Creates an iterator with a buffer. */
function createReader<Value>(
  { size, onFull, onLeave }: FeedOptions<Value>,
  leave: () => void,
): Reader<Value> {
  const unread: Value[] = [];
  const waiting: PromiseWithResolvers<IteratorResult<Value, undefined>>[] = [];
  let last: Ending | undefined;

  /** Serves values first, then the end; throws its error once. */
  const serve = () => {
    while (waiting[0] && (unread.length > 0 || last)) {
      const { resolve, reject } = waiting.shift()!;
      if (unread.length > 0) resolve({ done: false, value: unread.shift()! });
      else if (last?.error) {
        reject(last.error);
        last = {};
      } else resolve({ done: true, value: undefined });
    }
  };
  return {
    next() {
      const reader = Promise.withResolvers<IteratorResult<Value, undefined>>();
      waiting.push(reader);
      serve();
      return reader.promise;
    },
    return() {
      unread.length = 0;
      last = {};
      leave();
      onLeave?.();
      return this.next();
    },
    take(value) {
      if (last) return;
      if (size && unread.length >= size) onFull?.(unread);
      // A full buffer may have ended it.
      if (!last) unread.push(value);
      serve();
    },
    end(how) {
      last ??= how;
      serve();
    },
  };
}
