import { readFileSync } from "node:fs";
import { type Command, findNearest, formatHelp, type Terminal } from "./arguments.ts";
import { CliError } from "./errors.ts";
import { logFailure } from "./log.ts";
import { findMissingPackage, installHint } from "./missing-package.ts";

/** Loaded when used: all commands together have 500 modules, which took most of the time of a short command. */
const COMMANDS = new Map<string, () => Promise<Command>>([
  ["dev", async () => (await import("./dev.ts")).dev],
  ["local", async () => (await import("./local.ts")).local],
  ["export", async () => (await import("./export.ts")).exportTemplates],
  ["token", async () => (await import("./token.ts")).token],
  ["asyncapi", async () => (await import("./asyncapi.ts")).asyncapi],
  ["requests", async () => (await import("./requests.ts")).requests],
  ["rollout", async () => (await import("./rollout.ts")).rollout],
  ["reconcile", async () => (await import("./reconcile.ts")).reconcile],
  ["cost", async () => (await import("./cost.ts")).cost],
  ["verify", async () => (await import("./verify.ts")).verify],
]);

const EXIT = { done: 0, failed: 1, usage: 2 };

/** Runs a command line and resolves to the exit code. Never rejects: errors are printed on `terminal.stderr`. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await dispatch(argv, terminal);
  } catch (error) {
    logFailure(error, terminal.stderr);
    return error instanceof CliError && error.code === "USAGE" ? EXIT.usage : EXIT.failed;
  }
}

async function dispatch(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    terminal.stdout.write(await overview());
    return name === undefined ? EXIT.usage : EXIT.done;
  }
  if (name === "--version" || name === "-v") {
    terminal.stdout.write(`${version()}\n`);
    return EXIT.done;
  }
  const load = COMMANDS.get(name);
  if (load === undefined) throw unknownCommand(name);
  const command = await loadCommand(load);
  if (wantsHelp(rest)) {
    terminal.stdout.write(formatHelp(command.usage));
    return EXIT.done;
  }
  return command.run(rest, terminal);
}

async function loadCommand(load: () => Promise<Command>): Promise<Command> {
  try {
    return await load();
  } catch (error) {
    const missing = findMissingPackage(error);
    throw missing === undefined ? error : new CliError("FAILED", `cannot start: ${installHint(missing)}`);
  }
}

/** Returns whether to show help. It wins over invalid flags. */
function wantsHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? undefined : end).some((word) => word === "--help" || word === "-h");
}

function unknownCommand(name: string): CliError {
  const [kind, known] = name.startsWith("-")
    ? (["flag", ["--help", "--version"]] as const)
    : (["command", [...COMMANDS.keys()]] as const);
  const hint = findNearest(name, known);
  const reason = `Unknown ${kind} ${name}${hint === undefined ? "" : `; did you mean ${hint}?`}`;
  return new CliError("USAGE", `${reason} (see lift-ws --help)`);
}

async function overview(): Promise<string> {
  const usages = await Promise.all(
    [...COMMANDS.values()].map(async (load) => (await loadCommand(load)).usage),
  );
  const width = Math.max(...usages.map(({ name }) => name.length));
  return [
    "Run WebSocket applications for API Gateway and Lambda on your machine.",
    "",
    "Usage: lift-ws <command> [flags]",
    "",
    "Commands:",
    ...usages.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "Run lift-ws <command> --help for the flags of a command, and lift-ws --version for the version.",
    "",
  ].join("\n");
}

function version(): string {
  // The same relative path from src/cli and from dist/cli.
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
