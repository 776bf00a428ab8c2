import type { IncomingMessage } from "node:http";
import { Sampler } from "../../internal/sampler.ts";
import { isLoopback } from "../../internal/this-machine.ts";
import type { AccessRefusal, GatewaySettings } from "../options.ts";

/** Characters of a refused value that a log shows; the client chose it. */
const SHOWN_LENGTH = 200;

/**
 * Returns a logger of refusals: a line each that says how to allow the request, and few of many.
 * @param how what allows an origin or a host, with `…` for the value
 */
export function createRefusalLogger(
  write: (line: string) => void,
  how: { readonly Origin: string; readonly Host: string },
): (refusal: AccessRefusal) => void {
  const sampler = new Sampler();
  return ({ header, value }) => {
    const count = sampler.count(header);
    if (count === undefined) return;
    const shown = value.slice(0, SHOWN_LENGTH);
    const allowed = header === "Host" ? (parseHostname(shown) ?? shown) : shown;
    const times = count > 10 ? ` (${count} in ten seconds)` : "";
    write(
      `Refused a request with ${header} ${JSON.stringify(shown)}${times}. To allow it: ${how[header].replace("…", () => allowed)}`,
    );
  };
}

type AccessSettings = Pick<
  GatewaySettings,
  "allowedOrigins" | "ownOrigins" | "allowedHosts" | "domainName" | "apiId" | "region" | "onRefused"
>;

/** Decides which pages may connect, and by which names a gateway on loopback may be called. */
export class BrowserAccess {
  readonly #settings: AccessSettings;

  constructor(settings: AccessSettings) {
    this.#settings = settings;
  }

  /** Requests without an Origin come from no page, and always pass. */
  allowsOrigin({ headers }: IncomingMessage): boolean {
    const { origin, host } = headers;
    if (origin === undefined || this.#isAllowed(origin, host)) return true;
    this.#settings.onRefused?.({ header: "Origin", value: origin });
    return false;
  }

  /**
   * On loopback a name that others can point here must not pass: by DNS rebinding any page could send requests that
   * look as if they were of the same origin.
   * @param boundTo the host that the gateway listens on
   */
  allowsHost({ headers }: IncomingMessage, boundTo: string): boolean {
    const { allowedHosts, onRefused } = this.#settings;
    if (allowedHosts === undefined || headers.host === undefined || !isLoopback(boundTo)) return true;
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
    // By the page's scheme, since its default port stands in neither.
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

/** The name of an API on AWS, where handlers may look for @connections. */
export function serviceHost(apiId: string, region: string): string {
  return `${apiId}.execute-api.${region}.amazonaws.com`;
}

/** The name in a `Host` header, in lower case, without its port and the dot of a complete name; `undefined` when it is malformed. */
export function parseHostname(host: string): string | undefined {
  const url = `http://${host}`;
  if (!/^[^/?#@\\]+$/.test(host) || !URL.canParse(url)) return undefined;
  return new URL(url).hostname.replace(/\.$/, "");
}
