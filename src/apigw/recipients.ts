/** The ids of a broadcast. Pulls them from their source one at a time, and never ahead of need. */
export class Recipients {
  readonly #sync: Iterator<string> | undefined;
  readonly #async: AsyncIterator<string> | undefined;
  readonly #returned: string[] = [];
  #ended = false;
  #pulled: Promise<unknown> = Promise.resolve();

  constructor(ids: Iterable<string> | AsyncIterable<string>) {
    if (Symbol.iterator in ids) this.#sync = ids[Symbol.iterator]();
    else this.#async = ids[Symbol.asyncIterator]();
  }

  /** Returns the next id, or `undefined` at the end. Returns no promise for a synchronous source. */
  take(): string | undefined | Promise<string | undefined> {
    if (this.#ended) return undefined;
    if (this.#sync !== undefined) return this.#unwrap(this.#sync.next());
    const pull = this.#pulled.then(async () =>
      this.#ended ? undefined : this.#unwrap(await this.#async!.next()),
    );
    this.#pulled = pull.catch(() => {});
    return pull;
  }

  /** Returns an id that was taken and not sent. */
  putBack(id: string): void {
    this.#returned.push(id);
  }

  /** The ids that were put back, then those of the source. `undefined` when none can remain. */
  rest(): AsyncIterable<string> | undefined {
    const next = this.#sync === undefined ? undefined : (this.take() as string | undefined);
    if (next !== undefined) this.putBack(next);
    return this.#ended && this.#returned.length === 0 ? undefined : this.#drain();
  }

  async *#drain(): AsyncGenerator<string> {
    for (;;) {
      const id = this.#returned.shift() ?? (await this.take()) ?? this.#returned.shift();
      if (id === undefined) return;
      yield id;
    }
  }

  #unwrap(result: IteratorResult<string>): string | undefined {
    if (!result.done) return result.value;
    this.#ended = true;
    return undefined;
  }
}
