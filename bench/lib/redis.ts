import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLIENT_CORE } from "./children.ts";
import { freePort } from "./free-port.ts";
import { canPin } from "./machine.ts";

export interface Redis {
  readonly port: number;
  stop(): Promise<void>;
}

export function hasRedis(): boolean {
  return spawnSync("redis-server", ["--version"]).status === 0;
}

/** Starts `redis-server` with an append-only file. @param fsync when it waits for the disk */
export async function startRedis(fsync: "always" | "everysec"): Promise<Redis> {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-redis-"));
  const port = await freePort();
  const options = [
    "--port",
    port,
    "--appendonly",
    "yes",
    "--appendfsync",
    fsync,
    "--save",
    "",
    "--dir",
    folder,
  ];
  const pinned = canPin ? ["taskset", "-c", CLIENT_CORE] : [];
  const [command, ...rest] = [...pinned, "redis-server", ...options].map(String) as [string, ...string[]];
  const server = spawn(command, rest, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    server.stdout.on("data", (text) => String(text).includes("Ready to accept") && resolve());
    server.once("exit", () => reject(new Error("redis-server ended before it was ready")));
  });
  return {
    port,
    stop: async () => {
      server.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}
