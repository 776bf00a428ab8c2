import { canonicalAddress } from "./ip-address.ts";

/**
 * Returns whether a host is this machine only: `localhost` or a loopback address (127.0.0.0/8, `::1`) in any spelling.
 * Other names such as `a.localhost` are not loopback, because a resolver may query the network for them.
 * @param host a host without a port: an address to listen on, a URL's `hostname`, or the name in a `Host` header
 * @example
 * isLoopback("127.0.0.1"); // true
 */
export function isLoopback(host: string): boolean {
  const name = host.endsWith(".") ? host.slice(0, -1) : host;
  if (name.toLowerCase() === "localhost") return true;
  const address = canonicalAddress(name);
  return address !== undefined && (address === "::1" || address.startsWith("127."));
}
