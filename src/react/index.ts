"use client";
export { type ChannelOptions, type ChannelState, useChannel } from "./channel.ts";
export { useConnectionState } from "./connection.ts";
export { ClientProvider, type ClientProviderProps, useClient } from "./context.ts";
export { createHooks, type Hooks } from "./hooks.ts";
export { type MembersState, useMembers } from "./members.ts";
export { type RequestState, type UseRequestOptions, useRequest } from "./request.ts";
export { type RequestsState, useRequests } from "./requests.ts";
