import type { NetworkInterfaceInfo } from "node:os";
import { expect, it } from "vitest";
import { networkUrls } from "./network-urls.ts";

const entry = (address: string, family: "IPv4" | "IPv6", internal = false) =>
  ({ address, family, internal }) as NetworkInterfaceInfo;
const INTERFACES = {
  lo: [entry("127.0.0.1", "IPv4", true), entry("::1", "IPv6", true)],
  eth0: [entry("192.0.2.7", "IPv4"), entry("fe80::1", "IPv6"), entry("2001:db8::7", "IPv6")],
  none: undefined,
};

it.each([
  ["0.0.0.0", ["ws://192.0.2.7:3001/dev"]],
  ["::", ["ws://192.0.2.7:3001/dev", "ws://[2001:db8::7]:3001/dev"]],
  ["127.0.0.1", []],
  ["192.0.2.7", []],
])("returns the URLs of a server on %s: %j", (host, urls) => {
  expect(networkUrls("ws://127.0.0.1:3001/dev", host, INTERFACES)).toEqual(urls);
});
