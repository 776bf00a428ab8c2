import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface Server {
  /** URL of the page. */
  readonly page: string;
  readonly port: number;
  /** Output of the server. */
  readonly output: () => string;
  readonly hasEnded: () => boolean;
  /** Resolves to the exit code and signal once the process has ended. */
  readonly stop: (signal: NodeJS.Signals) => Promise<readonly [number | null, NodeJS.Signals | null]>;
}

export interface ServerOptions {
  /** Default `chat`. */
  readonly example?: "chat" | "streamer";
  /** Folder of its data. A server that restarts in the same folder accepts its old tokens. */
  readonly directory: string;
  /** Default: a free port. */
  readonly port?: number;
  readonly host?: string;
}

/** Starts an example in its own process, as `npm start` does, and waits for the address of its page. */
export async function startServer({
  example = "chat",
  directory,
  port = 0,
  host = "127.0.0.1",
}: ServerOptions): Promise<Server> {
  const main = fileURLToPath(new URL(`../../examples/${example}/main.ts`, import.meta.url));
  const child = spawn(process.execPath, ["--conditions=@lift-ws/source", main], {
    cwd: directory,
    env: { ...process.env, PORT: String(port), HOST: host },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const lines: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => lines.push(line));
  const page = (await pageAddress(child, lines)).replace("0.0.0.0", "127.0.0.1");
  return {
    page,
    port: Number(new URL(page).port),
    output: () => lines.join("\n"),
    hasEnded,
    stop: async (signal) => {
      if (hasEnded()) return [child.exitCode, child.signalCode];
      const exited = once(child, "exit");
      child.kill(signal);
      const [code, by] = await exited;
      return [code, by];
    },
  };
}

function pageAddress(child: ChildProcess, lines: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout! }).on("line", (line) => {
      lines.push(line);
      const address = /^Page\s+(\S+)$/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
    child.once("exit", () => reject(new Error(`The server ended before it served:\n${lines.join("\n")}`)));
  });
}
