import type { Connections, WebSocketEvent } from "../apigw/index.ts";
import type { ConnectionStore } from "../store/index.ts";
import { connectionsOf } from "./connections/by-endpoint.ts";
import type { Settings } from "./options.ts";

/** What became of an event. */
export interface Outcome {
  /** 2xx: it went well. */
  readonly statusCode: number;
  /** The error's, when there was one: of `ERROR_CODES`, or the application's. */
  readonly code?: string;
}

/** Given what an event would use, each answers what it uses instead. */
export interface Instruments {
  connections?(connections: Connections): Connections;
  store?(store: ConnectionStore): ConnectionStore;
}

export function instrumented(event: WebSocketEvent, settings: Settings, instruments: Instruments): Settings {
  const { store } = settings;
  return {
    ...settings,
    connections: instruments.connections?.(connectionsOf(event, settings)) ?? settings.connections,
    store: (store && instruments.store?.(store)) ?? store,
  };
}
