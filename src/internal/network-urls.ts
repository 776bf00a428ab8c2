import { networkInterfaces } from "node:os";

/** The addresses that stand for all of this machine's. */
const EVERY_ADDRESS = ["0.0.0.0", "::"];

/**
 * A server's URLs for other machines. Empty when it listens on one address: the URL has that already.
 * @param url the server's, for this machine
 * @param host the address that it listens on
 */
export function networkUrls(url: string, host: string, interfaces = networkInterfaces()): string[] {
  if (!EVERY_ADDRESS.includes(host)) return [];
  const addresses = Object.values(interfaces).flatMap((each) => each ?? []);
  // IPv6 addresses of one link want a zone, which no URL in a browser can have.
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
