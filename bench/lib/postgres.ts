import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLIENT_CORE } from "./children.ts";
import { freePort } from "./free-port.ts";
import { canPin } from "./machine.ts";

/** Where Debian installs the versions of PostgreSQL; their commands are not on the PATH. */
const VERSIONS = "/usr/lib/postgresql";

export interface Postgres {
  readonly url: string;
  stop(): Promise<void>;
}

export function hasPostgres(): boolean {
  return findCommands() !== undefined;
}

/** Starts a PostgreSQL server with its default durability: a commit waits for the disk. */
export async function startPostgres(): Promise<Postgres> {
  const commands = findCommands();
  if (commands === undefined) throw new Error("PostgreSQL is not installed");
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-postgres-"));
  // It refuses to run as root. Debian's package creates this user.
  const as = process.getuid?.() === 0 ? ["runuser", "-u", "postgres", "--"] : [];
  if (as.length > 0) spawnSync("chown", ["postgres", folder]);
  const data = join(folder, "data");
  run([...as, join(commands, "initdb"), "--pgdata", data, "--username", "bench", "--auth", "trust"]);
  const port = await freePort();
  const pinned = canPin ? ["taskset", "-c", String(CLIENT_CORE)] : [];
  const options = ["-D", data, "-p", String(port), "-c", "listen_addresses=127.0.0.1", "-k", folder];
  const [command, ...args] = [...pinned, ...as, join(commands, "postgres"), ...options];
  const server = spawn(command!, args, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let log = "";
    server.stderr.on("data", (text) => {
      log += text;
      if (log.includes("ready to accept")) resolve();
    });
    server.once("exit", () => reject(new Error("postgres ended before it was ready")));
  });
  return {
    url: `postgresql://bench@127.0.0.1:${port}/bench`,
    stop: async () => {
      run([...as, join(commands, "pg_ctl"), "stop", "--pgdata", data, "--mode", "immediate"]);
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}

/** The folder of the commands of the newest version that has a server. */
function findCommands(): string | undefined {
  if (!existsSync(VERSIONS)) return undefined;
  const newestFirst = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a));
  return newestFirst
    .map((version) => join(VERSIONS, version, "bin"))
    .find((commands) => existsSync(join(commands, "initdb")));
}

function run([command, ...args]: readonly string[]): void {
  const { status, stderr } = spawnSync(command!, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed (${status}): ${stderr}`);
}
