interface Target {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
}

/**
 * Calls when the network is back or the tab is looked at again, where such things are: browsers and their workers.
 * @returns what ends it
 */
export function onWake(callback: () => void): () => void {
  const world = globalThis as Target & { document?: Target & { visibilityState?: string } };
  const { document } = world;
  const look = () => {
    if (document?.visibilityState === "visible") callback();
  };
  world.addEventListener?.("online", callback);
  document?.addEventListener?.("visibilitychange", look);
  return () => {
    world.removeEventListener?.("online", callback);
    document?.removeEventListener?.("visibilitychange", look);
  };
}
