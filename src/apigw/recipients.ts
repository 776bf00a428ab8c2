/** The ids of a broadcast, taken one by one: never two pulls from their source at a time, none ahead of need. */
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

  /** The next one; `undefined` when there is none. No promise where the source needs none. */
  take(): string | undefined | Promise<string | undefined> {
    if (this.#ended) return undefined;
    if (this.#sync !== undefined) return this.#note(this.#sync.next());
    const pull = this.#pulled.then(async () =>
      this.#ended ? undefined : this.#note(await this.#async!.next()),
    );
    this.#pulled = pull.catch(() => {});
    return pull;
  }

  /** What was taken and not sent. */
  putBack(id: string): void {
    this.#returned.push(id);
  }

  /** All that were put back, then what the source still has. `undefined`: surely nobody. */
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

  #note(result: IteratorResult<string>): string | undefined {
    if (!result.done) return result.value;
    this.#ended = true;
    return undefined;
  }
}
