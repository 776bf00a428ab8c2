import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Child, CLIENT_CORE, SERVER_CORE, startChild } from "./children.ts";
import type { Protocol } from "./wire.ts";

/** A server with a room and its client. Clients subscribe to a room that has a history. */
export interface RoomSide {
  readonly name: string;
  readonly server: Child;
  readonly client: Child;
  open(count: number): Promise<void>;
  stop(): Promise<void>;
}

export interface RoomSpec {
  readonly name: string;
  /** Relative to `bench/`. */
  readonly file: string;
  readonly protocol: Protocol;
  readonly path: string;
}

export const STREAMER: RoomSpec = {
  name: "Streamer, SQLite",
  file: "children/streamer-server.ts",
  protocol: "websocket",
  path: "/dev",
};

export async function startRoom(spec: RoomSpec): Promise<RoomSide> {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-bench-"));
  // The mode of ws: it sends each message to all.
  const argument = spec === STREAMER ? join(folder, "channels.db") : "broadcast";
  const server = startChild(spec.file, SERVER_CORE, [argument]);
  const client = startChild("children/channels-client.ts", CLIENT_CORE);
  const [port] = await Promise.all([server.ready, client.ready]);
  const endpoint = { protocol: spec.protocol, port, path: spec.path };
  return {
    name: spec.name,
    server,
    client,
    open: (count) => client.ask("open", { endpoint, count, atOnce: 100 }),
    stop: async () => {
      await Promise.all([server.stop(), client.stop()]);
      rmSync(folder, { recursive: true });
    },
  };
}
