/**
 * Runs `work`, which must not reject, for each of the items, so many at a time.
 * Rejects as `items` does, when all that was begun has ended.
 * @returns whether all of it was done when `signal` fired; after that no more is begun, and nothing waited for
 */
export async function forEach<Item>(
  items: AsyncIterable<Item>,
  concurrency: number,
  work: (item: Item) => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const all = async (): Promise<boolean> => {
    const underWay = new Set<Promise<void>>();
    try {
      for await (const item of items) {
        if (signal.aborted) return false;
        const one: Promise<void> = work(item).then(() => void underWay.delete(one));
        underWay.add(one);
        if (underWay.size >= concurrency) await Promise.race(underWay);
      }
      return true;
    } finally {
      // Also when the items have come to a bad end: what was begun would be frozen halfway.
      await Promise.all(underWay);
    }
  };
  const stopped = new Promise<false>((resolve) => {
    signal.addEventListener("abort", () => resolve(false), { once: true });
    if (signal.aborted) resolve(false);
  });
  return Promise.race([stopped, all()]);
}
