import type { IncomingMessage } from "node:http";
import { canonicalAddress, readAddress } from "../../internal/ip-address.ts";

/**
 * Returns the client's address in its canonical spelling.
 * @param trustProxy reads the last entry of `X-Forwarded-For`, which the nearest proxy wrote. Clients can forge the entries
 *   before it. When the entry is not an address, such as `unknown`, the proxy's own address is returned.
 */
export function readSourceIp({ headers, socket }: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy ? [headers["x-forwarded-for"] ?? []].flat().join(",") : "";
  const entry = forwarded.slice(forwarded.lastIndexOf(",") + 1);
  return readAddress(entry) ?? canonicalAddress(socket.remoteAddress ?? "") ?? "";
}
