import { isIP, isIPv6, SocketAddress } from "node:net";

const MAPPED = "::ffff:";

/**
 * Returns an IP address in its canonical spelling: IPv6 compressed and in lower case, without brackets or zone; an
 * IPv4-mapped IPv6 address as the IPv4 address that it carries.
 * @returns `undefined` when `text` is not an IP address
 */
export function canonicalAddress(text: string): string | undefined {
  const bracketed = text.startsWith("[") && text.endsWith("]");
  const bare = bracketed ? text.slice(1, -1) : text;
  if (isIP(bare) === 0 || (bracketed && !isIPv6(bare))) return undefined;
  if (!isIPv6(bare)) return bare;
  const { address } = new SocketAddress({ address: bare, family: "ipv6" });
  const carried = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : "";
  return isIP(carried) === 4 ? carried : address;
}

/**
 * Reads an IP address as proxies write it: in quotes or brackets, with a port, with space around it.
 * @returns the canonical spelling; `undefined` when the rest is not an address
 */
export function readAddress(text: string): string | undefined {
  const unquoted = text.trim().replace(/^"(.*)"$/, "$1");
  return canonicalAddress(unquoted) ?? canonicalAddress(unquoted.replace(/:\d{1,5}$/, ""));
}
