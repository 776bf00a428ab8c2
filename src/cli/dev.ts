import { resolve } from "node:path";
import {
  type Arguments,
  type Command,
  readArguments,
  type Terminal,
  type Usage,
  usageError,
} from "./arguments.ts";
import { loadEnvFile } from "./environment.ts";
import { parseReference } from "./handlers.ts";
import type { Target } from "./program.ts";
import { type ServerSettings, startServer } from "./server.ts";
import { untilStopped } from "./stopping.ts";

const usage = {
  name: "dev",
  summary: "Run a Lift app, or any Lambda handlers, behind a WebSocket API on this machine.",
  forms: ["<module>[#export] [flags]", "--routes <file> [flags]"],
  flags: {
    routes: { type: "string", value: "<file>", help: "A JSON file that names a handler for each route" },
    port: { type: "string", value: "<number>", help: "Default PORT, or 3001; 0 takes any free one" },
    host: { type: "string", value: "<address>", help: "Default HOST, or 127.0.0.1" },
    stage: { type: "string", value: "<name>", help: "The API's stage. Default dev" },
    "env-file": { type: "string", value: "<file>", help: "Variables to set before anything is loaded" },
    watch: { type: "boolean", help: "Load the handlers again after a save; sockets stay open" },
  },
  notes: [
    "The module's default export, or else its export named handler, answers every route.",
    "Beyond 127.0.0.1 @connections takes requests signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only.",
  ],
} as const satisfies Usage;

export const dev: Command = { usage, run };

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  const target = readTarget(flags.routes, positionals);
  // Before PORT and HOST are asked for: the file may say them.
  if (flags["env-file"] !== undefined) loadEnvFile(flags["env-file"]);
  const server = await startServer(readSettings(flags, target), terminal);
  await untilStopped(terminal);
  await server.close();
  return 0;
}

function readTarget(routes: string | undefined, positionals: readonly string[]): Target {
  const [module, extra] = positionals;
  if (extra !== undefined) throw usageError(usage, `Unexpected argument "${extra}"`);
  if ((module === undefined) === (routes === undefined)) {
    throw usageError(usage, "Say what to run: either a module or --routes <file>");
  }
  if (routes !== undefined) return { kind: "routes", path: resolve(routes) };
  return { kind: "module", reference: parseReference(module!, process.cwd()) };
}

function readSettings(flags: Arguments<typeof usage.flags>["flags"], target: Target): ServerSettings {
  const { env } = process;
  return {
    target,
    host: flags.host || env.HOST || "127.0.0.1",
    port: flags.port === undefined ? readPort(env.PORT || "3001", "PORT") : readPort(flags.port, "--port"),
    stage: flags.stage ?? "dev",
    watch: flags.watch ?? false,
  };
}

function readPort(text: string, source: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw usageError(usage, `${source} must be a number from 0 to 65535, not "${text}"`);
}
