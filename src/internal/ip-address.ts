import { isIP, isIPv6, SocketAddress } from "node:net";

const MAPPED = "::ffff:";

/**
 * Returns an IP address in its canonical spelling. IPv6 is compressed and lowercase, without brackets or zone. An
 * IPv4-mapped IPv6 address becomes the IPv4 address.
 * @returns `undefined` when `text` is not an IP address
 */
export function canonicalAddress(text: string): string | undefined {
  const bracketed = text.startsWith("[") && text.endsWith("]");
  const bare = bracketed ? text.slice(1, -1) : text;
  if (isIP(bare) === 0 || (bracketed && !isIPv6(bare))) return undefined;
  if (!isIPv6(bare)) return bare;
  const { address } = new SocketAddress({ address: bare, family: "ipv6" });
  const mapped = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : "";
  return isIP(mapped) === 4 ? mapped : address;
}

/**
 * Parses an IP address as proxies write it: with quotes, brackets, a port or surrounding space.
 * @returns the canonical spelling; `undefined` when it is not an address
 */
export function readAddress(text: string): string | undefined {
  const unquoted = text.trim().replace(/^"(.*)"$/, "$1");
  return canonicalAddress(unquoted) ?? canonicalAddress(unquoted.replace(/:\d{1,5}$/, ""));
}
