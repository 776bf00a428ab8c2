import { createContext, createElement, type ReactNode, useContext } from "react";
import type { Client } from "../client/index.ts";

const ClientContext = createContext<Client | undefined>(undefined);

/** Props of `ClientProvider`. */
export interface ClientProviderProps {
  /** The client from `createClient`, with or without payload types. */
  readonly client: Pick<Client, "state" | "onState" | "onError" | "connect" | "disconnect">;
  /** The components that use the client. */
  readonly children?: ReactNode;
}

/**
 * Provides the client to the hooks below it. The application connects and disconnects the client.
 * @example
 * createRoot(element).render(<ClientProvider client={client}><App /></ClientProvider>);
 */
export function ClientProvider({ client, children }: ClientProviderProps): ReactNode {
  return createElement(ClientContext, { value: client as Client }, children);
}

/**
 * Returns the client of the nearest `ClientProvider`.
 * @throws {Error} without a `ClientProvider` above
 * @example
 * const client = useClient();
 */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (client === undefined) throw new Error("There is no ClientProvider above this component");
  return client;
}
