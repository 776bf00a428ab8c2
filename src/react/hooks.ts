import type { ReactNode } from "react";
import type {
  ChannelIn,
  Client,
  ClientState,
  JsonNamespaces,
  JsonRequests,
  Namespaces,
  Requests,
  RequestsOf,
  ServerTypes,
  TypesOf,
} from "../client/index.ts";
import { type ChannelOptions, type ChannelState, useChannel } from "./channel.ts";
import { useConnectionState } from "./connection.ts";
import { ClientProvider, useClient } from "./context.ts";
import { type MembersState, useMembers } from "./members.ts";
import { type RequestState, type UseRequestOptions, useRequest } from "./request.ts";
import { type RequestsState, useRequests } from "./requests.ts";

/** The hooks and their provider, with a server's channels and payload types. */
export interface Hooks<Types extends Namespaces = JsonNamespaces, Actions extends Requests = JsonRequests> {
  /** As `ClientProvider`, for a client of this server. */
  ClientProvider(props: {
    readonly client: Client<Types, Actions>;
    readonly children?: ReactNode;
  }): ReactNode;
  /** As `useClient`. */
  useClient(): Client<Types, Actions>;
  /** As `useConnectionState`. */
  useConnectionState(): ClientState;
  /** As `useChannel`, for a channel of this server. */
  useChannel<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: ChannelOptions,
  ): ChannelState<TypesOf<Types, Channel>["data"], TypesOf<Types, Channel>["dataInput"]>;
  /** As `useMembers`, for a channel of this server. */
  useMembers<Channel extends ChannelIn<Types>>(
    channel: Channel,
  ): MembersState<TypesOf<Types, Channel>["state"]>;
  /** As `useRequest`, for an action of this server. */
  useRequest<Action extends keyof Actions & string>(
    action: Action,
    options?: UseRequestOptions,
  ): RequestState<Actions[Action]["input"], Actions[Action]["result"], Actions[Action]["progress"]>;
  /** As `useRequests`. */
  useRequests(limit?: number): RequestsState;
}

/**
 * Returns the hooks with the types of a server: `createHooks<typeof streamer>` has its channels and payload types. The
 * functions are those that `lift-ws/react` exports. Call it once, outside components.
 * @example
 * export const { ClientProvider, useChannel, useMembers } = createHooks<typeof streamer>();
 */
export function createHooks<Server extends ServerTypes = ServerTypes<JsonNamespaces, JsonRequests>>(): Hooks<
  NonNullable<Server["~channels"]>,
  RequestsOf<Server>
> {
  const hooks: Hooks = {
    ClientProvider,
    useClient,
    useConnectionState,
    useChannel,
    useMembers,
    useRequest,
    useRequests,
  };
  return hooks as Hooks<NonNullable<Server["~channels"]>, RequestsOf<Server>>;
}
