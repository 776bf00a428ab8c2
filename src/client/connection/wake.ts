interface Target {
  addEventListener?(type: string, listener: () => void, options: { readonly signal: AbortSignal }): void;
}

/**
 * Calls when the network is back or the tab is looked at again, where such things are: browsers and their workers.
 * @param signal ends it
 */
export function onWake(signal: AbortSignal, callback: () => void): void {
  const world = globalThis as Target & { document?: Target & { visibilityState?: string } };
  const { document } = world;
  const look = () => {
    if (document?.visibilityState === "visible") callback();
  };
  world.addEventListener?.("online", callback, { signal });
  document?.addEventListener?.("visibilitychange", look, { signal });
}
