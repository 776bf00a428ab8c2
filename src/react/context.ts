import { createContext, createElement, type ReactNode, useContext } from "react";
import type { Client } from "../client/index.ts";

const ClientContext = createContext<Client | undefined>(undefined);

export interface ClientProviderProps {
  /** What `createClient` made, typed or not: these it has whatever its channels carry. */
  readonly client: Pick<Client, "state" | "onState" | "onError" | "connect" | "disconnect">;
  readonly children?: ReactNode;
}

/** Gives the client to the hooks below. Connecting it, and disconnecting it, stays the application's. */
export function ClientProvider({ client, children }: ClientProviderProps): ReactNode {
  return createElement(ClientContext, { value: client as Client }, children);
}

/** The client of the nearest `ClientProvider`. @throws {Error} where there is none */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (client === undefined) throw new Error("There is no ClientProvider above this component");
  return client;
}
