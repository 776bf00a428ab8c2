import { type Child, CLIENT_CORE, SERVER_CORE, startChild } from "./children.ts";
import type { Endpoint } from "./connect.ts";
import type { Protocol } from "./wire.ts";

/** A server that is measured. */
export interface SideSpec {
  readonly name: string;
  /** Relative to `bench/`. */
  readonly file: string;
  readonly args?: readonly string[];
  readonly protocol: Protocol;
  readonly path: string;
  /** Handshakes that it is asked to take at once. Default 100. */
  readonly atOnce?: number;
}

/** A server and its client, running. */
export interface Side {
  readonly name: string;
  readonly server: Child;
  readonly client: Child;
  /** Opens connections; resolves to how many upgrades were refused before all were let in. */
  open(count: number): Promise<number>;
  stop(): Promise<void>;
}

const socketIoPath = "/socket.io/?EIO=4&transport=websocket";

export const LIFT: SideSpec = {
  name: "Lift on the gateway",
  file: "children/lift-server.ts",
  protocol: "websocket",
  // All connections have a tenant: broadcast lists them by it.
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
  // It starts a thread for each that is under way; with a hundred, some are refused on a busy machine.
  atOnce: 10,
};

/** What every measure over sockets must tell its reader. */
export const LIMITS_OFF =
  "The gateway's limits on new connections and on requests per second are off; all its others have their defaults.";

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
