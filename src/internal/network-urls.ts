import { networkInterfaces } from "node:os";

/** A server on one of these addresses listens on all interfaces. */
const WILDCARD_ADDRESSES = ["0.0.0.0", "::"];

/**
 * Returns a server's URLs for other machines. Empty when it listens on one address, because `url` names it already.
 * @param url the server's URL on this machine
 * @param host the address that the server listens on
 */
export function networkUrls(url: string, host: string, interfaces = networkInterfaces()): string[] {
  if (!WILDCARD_ADDRESSES.includes(host)) return [];
  const addresses = Object.values(interfaces).flatMap((each) => each ?? []);
  // Link-local IPv6 addresses need a zone, which URLs in browsers cannot have.
  const reachable = addresses.filter(
    ({ internal, family, address }) =>
      !internal && (family === "IPv4" || (host === "::" && !address.startsWith("fe80:"))),
  );
  return reachable.map(({ address, family }) => {
    const reached = new URL(url);
    reached.hostname = family === "IPv6" ? `[${address}]` : address;
    return reached.href;
  });
}
