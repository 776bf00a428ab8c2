import { type Child, CLIENT_CORE, SERVER_CORE, startChild } from "./children.ts";
import type { Endpoint } from "./connect.ts";
import type { Protocol } from "./wire.ts";

/** A server under test. */
export interface SideSpec {
  readonly name: string;
  /** Relative to `bench/`. */
  readonly file: string;
  readonly args?: readonly string[];
  readonly protocol: Protocol;
  readonly path: string;
  /** Concurrent handshakes. Default 100. */
  readonly atOnce?: number;
}

/** A running server and its client. */
export interface Side {
  readonly name: string;
  readonly server: Child;
  readonly client: Child;
  /** Opens connections. Resolves to the number of refused upgrades. */
  open(count: number): Promise<number>;
  stop(): Promise<void>;
}

const socketIoPath = "/socket.io/?EIO=4&transport=websocket";

export const LIFT: SideSpec = {
  name: "Lift on the gateway",
  file: "children/lift-server.ts",
  protocol: "websocket",
  // All connections share a tenant, by which broadcast lists them.
  path: "/dev?tenant=bench",
};
export const WS: SideSpec = { name: "ws", file: "rivals/ws.mjs", protocol: "websocket", path: "/" };
export const TCP: SideSpec = { name: "bare TCP", file: "rivals/tcp.mjs", protocol: "tcp", path: "" };
export const SOCKET_IO: SideSpec = {
  name: "socket.io",
  file: "rivals/socketio.mjs",
  protocol: "socket.io",
  path: socketIoPath,
};
export const SERVERLESS_OFFLINE: SideSpec = {
  name: "serverless-offline",
  file: "rivals/serverless-offline.mjs",
  protocol: "websocket",
  path: "/",
  // It starts a thread per handshake. With a hundred, a busy machine refuses some.
  atOnce: 10,
};

/** Note for every measure over sockets. */
export const LIMITS_OFF =
  "The gateway's limits on new connections and requests per second are off. All other limits have their defaults.";

export async function startSide(spec: SideSpec, mode: "echo" | "broadcast"): Promise<Side> {
  const server = startChild(spec.file, SERVER_CORE, [mode, ...(spec.args ?? [])]);
  const client = startChild("children/client.ts", CLIENT_CORE);
  const [port] = await Promise.all([server.ready, client.ready]);
  const endpoint: Endpoint = { protocol: spec.protocol, port, path: spec.path };
  return {
    name: spec.name,
    server,
    client,
    open: (count) => client.ask("open", { endpoint, count, atOnce: spec.atOnce ?? 100 }),
    stop: async () => {
      await Promise.all([server.stop(), client.stop()]);
    },
  };
}
