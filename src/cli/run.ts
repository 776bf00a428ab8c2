import { readFileSync } from "node:fs";
import { type Command, findNearest, formatHelp, type Terminal } from "./arguments.ts";
import { asyncapi } from "./asyncapi.ts";
import { cost } from "./cost.ts";
import { dev } from "./dev.ts";
import { CliError } from "./errors.ts";
import { exportTemplates } from "./export.ts";
import { local } from "./local.ts";
import { logFailure } from "./log.ts";
import { reconcile } from "./reconcile.ts";
import { requests } from "./requests.ts";
import { rollout } from "./rollout.ts";
import { token } from "./token.ts";
import { verify } from "./verify.ts";

const COMMANDS: readonly Command[] = [
  dev,
  local,
  exportTemplates,
  token,
  asyncapi,
  requests,
  rollout,
  reconcile,
  cost,
  verify,
];

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
    terminal.stdout.write(overview());
    return name === undefined ? EXIT.usage : EXIT.done;
  }
  if (name === "--version" || name === "-v") {
    terminal.stdout.write(`${version()}\n`);
    return EXIT.done;
  }
  const command = COMMANDS.find(({ usage }) => usage.name === name);
  if (command === undefined) throw unknownCommand(name);
  if (wantsHelp(rest)) {
    terminal.stdout.write(formatHelp(command.usage));
    return EXIT.done;
  }
  return command.run(rest, terminal);
}

/** Returns whether to show help. It wins over invalid flags. */
function wantsHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? undefined : end).some((word) => word === "--help" || word === "-h");
}

function unknownCommand(name: string): CliError {
  const [kind, known] = name.startsWith("-")
    ? (["flag", ["--help", "--version"]] as const)
    : (["command", COMMANDS.map(({ usage }) => usage.name)] as const);
  const hint = findNearest(name, known);
  const reason = `Unknown ${kind} ${name}${hint === undefined ? "" : `; did you mean ${hint}?`}`;
  return new CliError("USAGE", `${reason} (see lift-ws --help)`);
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ usage }) => usage.name.length));
  return [
    "Run WebSocket applications for API Gateway and Lambda on your machine.",
    "",
    "Usage: lift-ws <command> [flags]",
    "",
    "Commands:",
    ...COMMANDS.map(({ usage }) => `  ${usage.name.padEnd(width)}  ${usage.summary}`),
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
