import { existsSync } from "node:fs";
import { resolve } from "node:path";
import {
  type Arguments,
  type Command,
  readArguments,
  type Terminal,
  type Usage,
  usageError,
} from "./arguments.ts";
import { type ServerSettings, serveUntilStopped } from "./dev/server.ts";
import { readEndpoint, readNumber, readServerFlags, SERVER_FLAGS } from "./dev/server-flags.ts";
import { loadEnvFile, readEnvFile } from "./environment.ts";
import { CliError } from "./errors.ts";
import type { LambdaSettings } from "./lambda/lambda-environment.ts";
import { displayPath, parseReference, type Reference } from "./project/handlers.ts";
import { isApiId } from "./project/routes-file.ts";

const usage = {
  name: "dev",
  summary: "Run a Lift app, or any Lambda handlers, behind a WebSocket API on this machine.",
  forms: ["<module>[#export] [flags]", "--routes <file> [flags]", "--lambda <folder> [flags]"],
  flags: {
    routes: { type: "string", placeholder: "<file>", help: "A JSON file with a handler for each route" },
    lambda: {
      type: "string",
      placeholder: "<folder>",
      help: "Lambda bundles, run in processes of their own, on DynamoDB",
    },
    ...SERVER_FLAGS,
    stage: { type: "string", placeholder: "<name>", help: "The API's stage. Default dev" },
    "api-id": {
      type: "string",
      placeholder: "<id>",
      help: "The API's id. Default: apiId in routes.json, or a random one",
    },
    "env-file": {
      type: "string",
      placeholder: "<file>",
      help: "Environment variables to set before anything is loaded",
    },
    tickets: {
      type: "string",
      placeholder: "<module>",
      help: "A ticketHandler, or any function URL handler, to serve at /tickets. Not with --lambda",
    },
    watch: {
      type: "boolean",
      help: "Reload the handlers after a save; sockets stay open. Not with --lambda",
    },
    "dynamodb-endpoint": {
      type: "string",
      placeholder: "<url>",
      help: "With --lambda: the DynamoDB endpoint. Default: start DynamoDB Local",
    },
    tick: {
      type: "string",
      placeholder: "<seconds>",
      help: "With --lambda: interval between calls of tick. Default 60",
    },
    timeout: {
      type: "string",
      placeholder: "<seconds>",
      help: "With --lambda: time limit of a function. Default 30",
    },
    processes: {
      type: "string",
      placeholder: "<number>",
      help: "With --lambda: processes of a function at a time; more events wait. Default 10",
    },
  },
  notes: [
    "The module's default export, or its export named handler, handles every route.",
    "On a host other than 127.0.0.1, @connections needs requests signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
  ],
} as const satisfies Usage;

export const dev: Command = { usage, run };

type DevFlags = Arguments<typeof usage.flags>["flags"];

const LAMBDA_FLAGS = ["dynamodb-endpoint", "tick", "timeout", "processes"] as const;

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  const target = readTarget(flags, positionals);
  // Load the file before reading PORT and HOST, because it may set them.
  if (flags["env-file"] !== undefined) loadEnvFile(flags["env-file"]);
  await serveUntilStopped(readSettings(flags, target), terminal);
  return 0;
}

/** Reads the module, routes file or folder to run. Functions have an environment of their own, so their file is read too. */
function readTarget(flags: DevFlags, positionals: readonly string[]): ServerSettings["run"] {
  const [module, extra] = positionals;
  if (extra !== undefined) throw usageError(usage, `Unexpected argument "${extra}"`);
  const given = [module, flags.routes && "--routes", flags.lambda && "--lambda"].filter(
    (it) => it !== undefined,
  );
  if (given.length === 0) {
    throw usageError(usage, "Nothing to run: give a module, --routes <file> or --lambda <folder>");
  }
  if (given.length > 1)
    throw usageError(usage, `${given.join(" and ")} cannot be combined; give one of them`);
  if (flags.lambda !== undefined) return { kind: "lambda", ...readLambda(flags.lambda, flags) };
  const stray = LAMBDA_FLAGS.find((name) => flags[name] !== undefined);
  if (stray !== undefined) throw usageError(usage, `--${stray} requires --lambda`);
  if (flags.routes !== undefined) return { kind: "routes", path: resolve(flags.routes) };
  return { kind: "module", reference: parseReference(module!, process.cwd()) };
}

function readLambda(path: string, flags: DevFlags): LambdaSettings {
  const folder = resolve(path);
  if (flags.watch)
    throw usageError(usage, "--watch cannot be combined with --lambda; bundle again and restart");
  if (flags.tickets !== undefined) throw usageError(usage, "--tickets cannot be combined with --lambda");
  if (!existsSync(folder))
    throw new CliError("USAGE", `Cannot find the folder ${displayPath(folder)}; create the bundles first`);
  return {
    folder,
    environment: flags["env-file"] === undefined ? {} : readEnvFile(flags["env-file"]),
    dynamoDBEndpoint: readEndpoint(usage, flags["dynamodb-endpoint"]),
    tickMs: 1000 * readNumber(usage, flags.tick ?? "60", "--tick", 86_400),
    timeoutMs: 1000 * readNumber(usage, flags.timeout ?? "30", "--timeout", 900),
    processes: readNumber(usage, flags.processes ?? "10", "--processes", 1_000),
  };
}

function readSettings(flags: DevFlags, run: ServerSettings["run"]): ServerSettings {
  return {
    ...readServerFlags(usage, flags),
    run,
    stage: flags.stage ?? "dev",
    apiId: flags["api-id"] === undefined ? undefined : readApiId(flags["api-id"]),
    tickets: readTickets(flags),
    watch: flags.watch ?? false,
  };
}

function readTickets({ tickets, stage }: DevFlags): Reference | undefined {
  if (tickets === undefined) return undefined;
  if (stage === "tickets")
    throw usageError(usage, "--stage must not be tickets with --tickets, because both use the path /tickets");
  return parseReference(tickets, process.cwd());
}

function readApiId(text: string): string {
  if (isApiId(text)) return text;
  throw usageError(usage, `--api-id must be 1 to 63 lowercase letters and digits; got "${text}"`);
}
