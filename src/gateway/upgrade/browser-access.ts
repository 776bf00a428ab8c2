import type { IncomingMessage } from "node:http";
import { Sampler } from "../../internal/sampler.ts";
import { isLoopback } from "../../internal/this-machine.ts";
import type { AccessRefusal, GatewaySettings } from "../options.ts";

/** Maximum length of a refused value in a log line. Clients choose the value. */
const MAX_LOGGED_LENGTH = 200;

/**
 * Creates a listener for `onRefused` that logs each refusal with its remedy. A flood of refusals is sampled.
 * @param write writes a line
 * @param remedies the option or flag that allows an origin or a host, with `…` in place of the value
 * @example
 * const onRefused = createRefusalLogger(console.error, { Origin: "--origin …", Host: "--allowed-host …" });
 */
export function createRefusalLogger(
  write: (line: string) => void,
  remedies: { readonly Origin: string; readonly Host: string },
): (refusal: AccessRefusal) => void {
  const sampler = new Sampler();
  return ({ header, value }) => {
    const count = sampler.count(header);
    if (count === undefined) return;
    const truncated = value.slice(0, MAX_LOGGED_LENGTH);
    const allowedValue = header === "Host" ? (parseHostname(truncated) ?? truncated) : truncated;
    const times = count > 10 ? ` (${count} in ten seconds)` : "";
    write(
      `Refused a request with ${header} ${JSON.stringify(truncated)}${times}. To allow it: ${remedies[header].replace("…", () => allowedValue)}`,
    );
  };
}

type AccessSettings = Pick<
  GatewaySettings,
  "allowedOrigins" | "ownOrigins" | "allowedHosts" | "domainName" | "apiId" | "region" | "onRefused"
>;

/** Checks the `Origin` and `Host` headers of requests. */
export class BrowserAccess {
  readonly #settings: AccessSettings;

  constructor(settings: AccessSettings) {
    this.#settings = settings;
  }

  /** Checks the `Origin` header. Requests without one do not come from a page and always pass. */
  allowsOrigin({ headers }: IncomingMessage): boolean {
    const { origin, host } = headers;
    if (origin === undefined || this.#isAllowed(origin, host)) return true;
    this.#settings.onRefused?.({ header: "Origin", value: origin });
    return false;
  }

  /**
   * Checks the `Host` header of a gateway on loopback. Other names must not pass: with DNS rebinding, a page could send
   * requests that look as if they had the same origin.
   * @param listeningHost the host that the gateway listens on
   */
  allowsHost({ headers }: IncomingMessage, listeningHost: string): boolean {
    const { allowedHosts, onRefused } = this.#settings;
    if (allowedHosts === undefined || headers.host === undefined || !isLoopback(listeningHost)) return true;
    const name = parseHostname(headers.host);
    if (name !== undefined && (isLoopback(name) || this.#isOwnName(name) || allowedHosts.has(name)))
      return true;
    onRefused?.({ header: "Host", value: headers.host });
    return false;
  }

  #isAllowed(origin: string, host: string | undefined): boolean {
    const { allowedOrigins, ownOrigins } = this.#settings;
    if (allowedOrigins?.has(origin) || (allowedOrigins?.has("*") && origin !== "null")) return true;
    if (!ownOrigins) return allowedOrigins === undefined;
    if (!/^https?:/.test(origin) || !URL.canParse(origin)) return false;
    const page = new URL(origin);
    if (isLoopback(page.hostname)) return true;
    // Use the page's scheme: neither the origin nor the `Host` header contains its default port.
    const own = `${page.protocol}//${host}`;
    return host !== undefined && URL.canParse(own) && new URL(own).host === page.host;
  }

  #isOwnName(name: string): boolean {
    const { domainName, apiId, region } = this.#settings;
    return (
      name === serviceHost(apiId, region) || (domainName !== undefined && name === parseHostname(domainName))
    );
  }
}

/**
 * Returns the host name of an API on AWS, which handlers may use for @connections.
 * @example
 * serviceHost("a1b2c3d4e5", "eu-west-1"); // "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
 */
export function serviceHost(apiId: string, region: string): string {
  return `${apiId}.execute-api.${region}.amazonaws.com`;
}

/**
 * Returns the host name in a `Host` header: lowercase, without port and trailing dot.
 * @returns `undefined` when the header is malformed
 * @example
 * parseHostname("App.Example:3001"); // "app.example"
 */
export function parseHostname(host: string): string | undefined {
  const url = `http://${host}`;
  if (!/^[^/?#@\\]+$/.test(host) || !URL.canParse(url)) return undefined;
  return new URL(url).hostname.replace(/\.$/, "");
}
