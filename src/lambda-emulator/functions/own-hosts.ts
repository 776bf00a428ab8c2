// Imports nothing: a function's process loads this before the function, and it counts as the function's start.

/** The names of an API, and the gateway that answers for them. */
export interface ApiHosts {
  /** Led to the gateway on every port. */
  readonly names: readonly string[];
  /** Led to the gateway on port 443 only. */
  readonly httpsNames: readonly string[];
  readonly gateway: { readonly host: string; readonly port: number };
}

interface ConnectOptions {
  readonly host?: unknown;
  readonly port?: unknown;
  checkServerIdentity?: (host: string, certificate: unknown) => unknown;
}

const HTTPS_PORT = 443;

/** The gateway's certificate always has this name. */
const CERTIFIED_NAME = "localhost";

/**
 * Leads this process's connections to an API's own hosts to its gateway, whichever client opens them: all of Node's, TLS
 * and `fetch` included, end in `Socket.connect`. Nothing is looked up, and nothing goes to the network.
 * @returns undoes it
 */
export function redirectApiHosts({ names, httpsNames, gateway }: ApiHosts): () => void {
  // Imported, `node:net` would bring all its exports: see bootstrap.js.
  const { prototype } = process.getBuiltinModule("node:net").Socket;
  const { connect } = prototype;

  const isOwn = (host: unknown, port: unknown): boolean => {
    if (typeof host !== "string") return false;
    const name = host.toLowerCase().replace(/\.$/, "");
    return names.includes(name) || (Number(port) === HTTPS_PORT && httpsNames.includes(name));
  };
  const redirected = (options: ConnectOptions) => {
    const { checkServerIdentity: check } = options;
    // A TLS socket reads this from the same object after the handshake.
    if (check) options.checkServerIdentity = (_host, certificate) => check(CERTIFIED_NAME, certificate);
    return { ...options, ...gateway };
  };
  prototype.connect = function (this: unknown, ...args: unknown[]) {
    const [first, host] = args;
    // `net.connect` passes an array that it has marked as its own.
    const list: unknown[] = Array.isArray(first) ? first : args;
    const options = list[0];
    if (typeof options === "object" && options !== null) {
      const { host: toHost, port } = options as ConnectOptions;
      if (isOwn(toHost, port)) list[0] = redirected(options);
    } else if (isOwn(host, first)) {
      args.splice(0, 2, gateway.port, gateway.host);
    }
    return Reflect.apply(connect, this, args);
  } as typeof connect;
  return () => {
    prototype.connect = connect;
  };
}
