import { useCallback, useSyncExternalStore } from "react";
import type { ClientState } from "../client/index.ts";
import { useClient } from "./context.ts";

const IDLE: ClientState = { status: "idle" };

/** Where the client's connection is; rendered on a server it is idle. */
export function useConnectionState(): ClientState {
  const client = useClient();
  const subscribe = useCallback((listener: () => void) => client.onState(listener), [client]);
  return useSyncExternalStore(
    subscribe,
    () => client.state,
    () => IDLE,
  );
}
