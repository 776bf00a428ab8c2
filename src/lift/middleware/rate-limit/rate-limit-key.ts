import { isIPv4 } from "node:net";
import { isConnectEvent } from "../../../apigw/index.ts";
import { readAddress } from "../../../internal/ip-address.ts";
import type { AnyContext } from "../../context.ts";

/** Groups events that are counted together. A function returns a key, or `undefined` for events that are not counted. */
export type RateLimitKey =
  | "connection"
  | "user"
  | "tenant"
  | "ip"
  | ((ctx: AnyContext) => string | undefined | Promise<string | undefined>);

/** Returns whether a key is known before the token is verified. */
export function needsNoIdentity(by: RateLimitKey): boolean {
  return by === "connection" || by === "ip";
}

/**
 * Returns the key of an event. Connections without a user or tenant do not share a key: each is counted by its id, and on
 * `$connect`, where every id is new, by its address.
 */
export async function rateLimitKey(ctx: AnyContext, by: RateLimitKey): Promise<string | undefined> {
  if (typeof by === "function") {
    const key = await by(ctx);
    return key === undefined ? undefined : `own:${key}`;
  }
  const { userId, tenantId } = ctx;
  if (by === "user" && userId !== undefined) return `user:${encodeURIComponent(tenantId ?? "")}:${userId}`;
  if (by === "tenant" && tenantId !== undefined) return `tenant:${tenantId}`;
  if (by === "ip" || (by !== "connection" && isConnectEvent(ctx.event))) {
    return `ip:${clientNetwork(ctx.event.requestContext.identity.sourceIp)}`;
  }
  return `connection:${ctx.connectionId}`;
}

/**
 * Returns the network that counts as one client: an IPv4 address, or the /64 of an IPv6 address, because a customer gets at
 * least a /64. All texts that are not addresses count as one client.
 */
export function clientNetwork(text: string): string {
  const address = readAddress(text);
  if (address === undefined) return "unknown";
  if (isIPv4(address)) return address;
  const [head = "", tail = ""] = address.split("::");
  const [before, after] = [groups(head), groups(tail)];
  const zeros = new Array<string>(Math.max(8 - before.length - after.length, 0)).fill("0");
  return `${[...before, ...zeros, ...after].slice(0, 4).join(":")}::/64`;
}

function groups(text: string): string[] {
  const parts = text === "" ? [] : text.split(":");
  return parts.map((part) => Number.parseInt(part, 16).toString(16));
}
