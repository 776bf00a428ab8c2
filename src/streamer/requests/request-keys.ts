import type { Requester, RequestKey, StoredRequest } from "../../store/index.ts";
import type { Identity } from "../access.ts";
import { REQUEST_NAMESPACE, type Scope, toChannelKey } from "../channel-keys.ts";

/** Returns the key of a user's request. A missing tenant or user is `null`, which no id equals. */
export function toRequestKey({ tenantId, userId }: Scope, id: string): RequestKey {
  return { owner: JSON.stringify([tenantId ?? null, userId ?? null]), id };
}

/** Returns a text that no other request has. */
export function keyOf({ owner, id }: RequestKey): string {
  return JSON.stringify([owner, id]);
}

/** Returns the tenant whose limits count a request. */
export function toTenantKey({ tenantId }: Scope): string {
  return JSON.stringify(tenantId ?? null);
}

/** Returns the name of the channel with a request's watchers and output. */
export function toRequestChannel(id: string): string {
  return `${REQUEST_NAMESPACE}:${id}`;
}

export function toRequestChannelKey(scope: Scope, id: string): string {
  return toChannelKey(scope, toRequestChannel(id));
}

/** Returns the request that a channel's key belongs to; `undefined` for any other channel. */
export function requestFromChannelKey(key: string): RequestKey | undefined {
  const [tenantId, channel, kind, userId] = JSON.parse(key) as [
    string | null,
    string,
    string?,
    (string | null)?,
  ];
  if (kind !== REQUEST_NAMESPACE) return undefined;
  const id = channel.slice(REQUEST_NAMESPACE.length + 1);
  return toRequestKey({ tenantId: tenantId ?? undefined, userId: userId ?? undefined }, id);
}

/** Whether a request has ended: it stays as it is, unless it is redriven. */
export function isFinal({ state }: Pick<StoredRequest, "state">): boolean {
  return state === "COMPLETED" || state === "FAILED" || state === "CANCELLED";
}

export function identityOf({ identity }: Pick<StoredRequest, "identity">): Identity {
  return identity as unknown as Identity;
}

/** The recipients of a request's messages. */
export interface Watched extends Scope {
  readonly id: string;
  readonly requester: Requester | undefined;
}

export function toWatched({ id, requester, ...request }: StoredRequest): Watched {
  const { tenantId, userId } = identityOf(request);
  return { id, tenantId, userId, requester };
}
