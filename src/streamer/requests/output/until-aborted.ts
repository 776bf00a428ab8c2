/**
 * Iterates over a source until a signal aborts, also while the source has nothing to yield. Then it cancels the source, without
 * waiting for it, and throws the signal's reason.
 */
export async function* untilAborted(
  source: AsyncIterable<unknown> | Iterable<unknown>,
  signal: AbortSignal,
): AsyncGenerator<unknown> {
  const iterator = iteratorOf(source);
  // One listener for all values: a race against one promise would remember each of them.
  let onAbort = (_reason: unknown) => {};
  const abort = () => onAbort(signal.reason);
  signal.addEventListener("abort", abort);
  let isDone = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const result = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
        onAbort = reject;
        Promise.resolve(iterator.next()).then(resolve, reject);
      });
      isDone = result.done === true;
      if (isDone) return;
      // The values of an iterable that is not asynchronous may be promises.
      yield await result.value;
    }
  } catch (error) {
    isDone ||= !signal.aborted;
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
    if (!isDone) cancel(source, iterator);
  }
}

type AnyIterator = AsyncIterator<unknown> | Iterator<unknown>;

/** The iterator of a web stream does not cancel it while it waits for a value; a reader does. */
function iteratorOf(source: AsyncIterable<unknown> | Iterable<unknown>): AnyIterator {
  if (source instanceof ReadableStream) {
    const reader = source.getReader();
    return {
      next: () => reader.read() as Promise<IteratorResult<unknown>>,
      return: () => cancelReader(reader),
    };
  }
  const asynchronous = (source as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator];
  return asynchronous === undefined
    ? (source as Iterable<unknown>)[Symbol.iterator]()
    : asynchronous.call(source);
}

async function cancelReader(reader: ReadableStreamDefaultReader): Promise<IteratorResult<unknown>> {
  await reader.cancel();
  return { done: true, value: undefined };
}

/** A stream of Node has `destroy`, which ends its pending read. */
function cancel(source: object, iterator: AnyIterator): void {
  try {
    const { destroy } = source as { destroy?: unknown };
    if (typeof destroy === "function") destroy.call(source);
    Promise.resolve(iterator.return?.()).catch(() => {});
  } catch {
    // Its error changes nothing.
  }
}
