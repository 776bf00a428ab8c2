import { hostname, serviceHost } from "../../gateway/index.ts";
import type { OwnHosts } from "../../lambda-emulator/index.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

/** The `domainName` in events: where the gateway is reached, with its port. */
export function domainNameOf({ host, port }: Address): string {
  if (host === "0.0.0.0" || host === "::") return `localhost:${port}`;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The hosts at which handlers may look for @connections: the name on AWS, and what events say. */
export function ownHostsOf(address: Address, apiId: string, region: string): OwnHosts {
  const domainName = domainNameOf(address);
  const name = hostname(domainName) ?? address.host;
  const host = address.host === "0.0.0.0" ? "127.0.0.1" : address.host === "::" ? "::1" : address.host;
  return {
    names: [serviceHost(apiId, region), domainName.toLowerCase()],
    httpsNames: [name, name.replace(/^\[|\]$/g, "")],
    gateway: { host, port: address.port },
  };
}
