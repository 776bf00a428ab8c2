import type { IncomingMessage } from "node:http";
import { canonicalAddress, readAddress } from "../../internal/ip-address.ts";

/**
 * Returns the client's address in its canonical spelling.
 * @param trustProxy reads the last entry of `X-Forwarded-For`, which the nearest proxy wrote: the entries before it
 *   are the client's word. An entry that is not an address, such as `unknown`, leaves the proxy's own address.
 */
export function readSourceIp({ headers, socket }: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy ? [headers["x-forwarded-for"] ?? []].flat().join(",") : "";
  const entry = forwarded.slice(forwarded.lastIndexOf(",") + 1);
  return readAddress(entry) ?? canonicalAddress(socket.remoteAddress ?? "") ?? "";
}
