const statuses = new WeakMap<object, number>();

/** Notes the status of an event that failed although its result says 200, because an error frame was sent. */
export function noteHiddenFailure(result: object, status: number): void {
  statuses.set(result, status);
}

/** Returns the status of the failure that a result hides; `undefined` when it hides none. */
export function hiddenFailureOf(result: unknown): number | undefined {
  return Object(result) === result ? statuses.get(result as object) : undefined;
}
