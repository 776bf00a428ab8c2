type Statuses = WeakMap<object, number>;

/** All copies of this package in the process share it. */
const KEY = Symbol.for("lift-ws.hidden-failures");
const shared = globalThis as { [KEY]?: Statuses };
const statuses = (): Statuses => {
  shared[KEY] ??= new WeakMap();
  return shared[KEY];
};

/**
 * Notes the status of an event that failed although its result says 200, because an error frame was sent. It belongs to the
 * event's `requestContext`: a wrapper may copy the result and the event, and a field in the result would change its equality.
 */
export function noteHiddenFailure(
  { requestContext }: { readonly requestContext: object },
  status: number,
): void {
  statuses().set(requestContext, status);
}

/** Returns the status of the failure that an event's result hides, and forgets it; `undefined` when it hides none. */
export function takeHiddenFailure({
  requestContext,
}: {
  readonly requestContext: object;
}): number | undefined {
  const status = statuses().get(requestContext);
  statuses().delete(requestContext);
  return status;
}
