interface Target {
  addEventListener?(type: string, listener: () => void, options: { readonly signal: AbortSignal }): void;
}

/**
 * Calls `callback` when the network returns or the tab becomes visible: in browsers and their workers.
 * @param signal removes the listeners
 */
export function onWake(signal: AbortSignal, callback: () => void): void {
  const scope = globalThis as Target & { document?: Target & { visibilityState?: string } };
  const { document } = scope;
  const onVisibility = () => {
    if (document?.visibilityState === "visible") callback();
  };
  scope.addEventListener?.("online", callback, { signal });
  document?.addEventListener?.("visibilitychange", onVisibility, { signal });
}
