import type { RowDifference } from "./differences.ts";

/** The rows that differ, of which it lists only so many. */
export class DifferenceList {
  /** Differences found. */
  found = 0;
  /** Differences that are not listed, because the list was full. */
  unlisted = 0;
  readonly #listed = new Map<string, RowDifference>();
  readonly #maxListed: number;
  readonly #onDifference: ((difference: RowDifference) => void) | undefined;

  constructor(maxListed: number, onDifference: ((difference: RowDifference) => void) | undefined) {
    this.#maxListed = maxListed;
    this.#onDifference = onDifference;
  }

  get isEmpty(): boolean {
    return this.#listed.size === 0 && this.unlisted === 0;
  }

  get listed(): readonly RowDifference[] {
    return [...this.#listed.values()];
  }

  add(difference: RowDifference): void {
    this.found++;
    const { id } = difference;
    if (this.#listed.has(id) || this.#listed.size < this.#maxListed) this.#listed.set(id, difference);
    else this.unlisted++;
    try {
      this.#onDifference?.(difference);
    } catch {}
  }

  delete(id: string): void {
    this.#listed.delete(id);
  }

  /** Deletes a difference unless another one was found for its row since. */
  deleteSame(difference: RowDifference): void {
    if (this.#listed.get(difference.id) === difference) this.#listed.delete(difference.id);
  }
}
