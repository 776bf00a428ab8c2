// Imports nothing, because a function's process loads this file first, and that counts as the function's cold start.

/** The host names of an API, and the gateway that serves them. */
export interface ApiHosts {
  /** Names that are redirected on every port. */
  readonly names: readonly string[];
  /** Names that are redirected on port 443 only. */
  readonly httpsNames: readonly string[];
  /** The gateway's address. */
  readonly gateway: { readonly host: string; readonly port: number };
}

interface ConnectOptions {
  readonly host?: unknown;
  readonly port?: unknown;
  checkServerIdentity?: (host: string, certificate: unknown) => unknown;
}

const HTTPS_PORT = 443;

/** A name that the gateway's certificate always has. */
const CERTIFIED_NAME = "localhost";

/**
 * Redirects this process's connections to an API's hosts to its gateway. It works for every client, TLS and `fetch`
 * included, because all of them call `Socket.connect`. Redirected names are not looked up in DNS.
 * @returns a function that ends the redirection
 * @example
 * const restore = redirectApiHosts({ names: ["api.example"], httpsNames: [], gateway: { host: "127.0.0.1", port: 3001 } });
 */
export function redirectApiHosts({ names, httpsNames, gateway }: ApiHosts): () => void {
  // An import of `node:net` would load all its exports: see bootstrap.js.
  const { prototype } = process.getBuiltinModule("node:net").Socket;
  const { connect } = prototype;

  const isRedirected = (host: unknown, port: unknown): boolean => {
    if (typeof host !== "string") return false;
    const name = host.toLowerCase().replace(/\.$/, "");
    return names.includes(name) || (Number(port) === HTTPS_PORT && httpsNames.includes(name));
  };
  const redirected = (options: ConnectOptions) => {
    const { checkServerIdentity: check } = options;
    // A TLS socket reads `checkServerIdentity` from this object after the handshake.
    if (check) options.checkServerIdentity = (_host, certificate) => check(CERTIFIED_NAME, certificate);
    return { ...options, ...gateway };
  };
  prototype.connect = function (this: unknown, ...args: unknown[]) {
    const [first, host] = args;
    // `net.connect` passes its arguments as one array.
    const list: unknown[] = Array.isArray(first) ? first : args;
    const options = list[0];
    if (typeof options === "object" && options !== null) {
      const { host: toHost, port } = options as ConnectOptions;
      if (isRedirected(toHost, port)) list[0] = redirected(options);
    } else if (isRedirected(host, first)) {
      args.splice(0, 2, gateway.port, gateway.host);
    }
    return Reflect.apply(connect, this, args);
  } as typeof connect;
  return () => {
    prototype.connect = connect;
  };
}
