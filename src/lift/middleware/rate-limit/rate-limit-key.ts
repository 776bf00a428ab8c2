import { isIPv4 } from "node:net";
import { isConnectEvent } from "../../../apigw/index.ts";
import { readAddress } from "../../../internal/ip-address.ts";
import type { AnyContext } from "../../context.ts";

/** What is counted together. A function names it, or says by `undefined` that this event is not counted. */
export type RateLimitKey =
  | "connection"
  | "user"
  | "tenant"
  | "ip"
  | ((ctx: AnyContext) => string | undefined | Promise<string | undefined>);

/** Whether a key is known before anyone has looked at the token. */
export function needsNoIdentity(by: RateLimitKey): boolean {
  return by === "connection" || by === "ip";
}

/**
 * The key of an event. Who has no user or tenant does not share one with all others of that kind, but is counted
 * alone: by connection, and on `$connect`, where every connection is new, by address.
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
 * Returns the network that counts as one client: an IPv4 address, or the /64 of an IPv6 address, from which one
 * customer can choose at least. All texts that are not addresses count as one client.
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
