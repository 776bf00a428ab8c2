import { useCallback, useSyncExternalStore } from "react";
import type { ClientState } from "../client/index.ts";
import { useClient } from "./context.ts";

const IDLE: ClientState = { status: "idle" };

/**
 * Returns the state of the client's connection: `idle` when rendered on a server.
 * @example
 * const { status } = useConnectionState();
 */
export function useConnectionState(): ClientState {
  const client = useClient();
  const subscribe = useCallback((listener: () => void) => client.onState(listener), [client]);
  return useSyncExternalStore(
    subscribe,
    () => client.state,
    () => IDLE,
  );
}
