import { canonicalAddress } from "./ip-address.ts";

/**
 * Tells whether a host means this machine alone: `localhost` or a loopback address (127.0.0.0/8, `::1`), in any
 * spelling. All other names are not loopback, `a.localhost` included: a resolver may ask the network for them.
 * @param host a host without a port: an address to listen on, a URL's `hostname`, the host in a `Host` header
 */
export function isLoopback(host: string): boolean {
  const name = host.endsWith(".") ? host.slice(0, -1) : host;
  if (name.toLowerCase() === "localhost") return true;
  const address = canonicalAddress(name);
  return address !== undefined && (address === "::1" || address.startsWith("127."));
}
