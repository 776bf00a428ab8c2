import type { ReactNode } from "react";
import type {
  ChannelIn,
  Client,
  ClientState,
  JsonNamespaces,
  Namespaces,
  ServerTypes,
  TypesOf,
} from "../client/index.ts";
import { type ChannelOptions, type ChannelState, useChannel } from "./channel.ts";
import { useConnectionState } from "./connection.ts";
import { ClientProvider, useClient } from "./context.ts";
import { type MembersState, useMembers } from "./members.ts";

/** The hooks, and the provider above them, of a client by what its channels carry. */
export interface Hooks<Types extends Namespaces = JsonNamespaces> {
  ClientProvider(props: { readonly client: Client<Types>; readonly children?: ReactNode }): ReactNode;
  useClient(): Client<Types>;
  useConnectionState(): ClientState;
  useChannel<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: ChannelOptions,
  ): ChannelState<TypesOf<Types, Channel>["data"], TypesOf<Types, Channel>["dataInput"]>;
  useMembers<Channel extends ChannelIn<Types>>(
    channel: Channel,
  ): MembersState<TypesOf<Types, Channel>["state"]>;
}

/**
 * The hooks by their types: `createHooks<typeof streamer>` knows the server's channels, and what they carry, by its
 * schemas. Called once, outside of components; they are the same functions as those without types.
 */
export function createHooks<Server extends ServerTypes = ServerTypes<JsonNamespaces>>(): Hooks<
  NonNullable<Server["~channels"]>
> {
  const hooks: Hooks = { ClientProvider, useClient, useConnectionState, useChannel, useMembers };
  return hooks as Hooks<NonNullable<Server["~channels"]>>;
}
