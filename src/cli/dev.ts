import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { isOrigin } from "../internal/origin.ts";
import { waitForStop } from "../internal/stopping.ts";
import {
  type Arguments,
  type Command,
  readArguments,
  type Terminal,
  type Usage,
  usageError,
} from "./arguments.ts";
import { type ServerSettings, startServer } from "./dev/server.ts";
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
    port: { type: "string", placeholder: "<number>", help: "Default PORT, or 3001; 0 chooses a free port" },
    host: { type: "string", placeholder: "<address>", help: "Default HOST, or 127.0.0.1" },
    stage: { type: "string", placeholder: "<name>", help: "The API's stage. Default dev" },
    "api-id": {
      type: "string",
      placeholder: "<id>",
      help: "The API's id. Default: apiId in routes.json, or a random one",
    },
    origin: {
      type: "string",
      multiple: true,
      placeholder: "<origin>",
      help: "An allowed page origin, besides this machine's: https://app.example, or * for any. Repeatable",
    },
    "allowed-host": {
      type: "string",
      multiple: true,
      placeholder: "<name>",
      help: "A host name that requests may use for a server on loopback, besides localhost. Repeatable",
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
    http: { type: "string", placeholder: "<module>", help: "Handles other HTTP requests to the port" },
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
    concurrency: {
      type: "string",
      placeholder: "<number>",
      help: "With --lambda: processes of a function at a time. Default 10",
    },
  },
  notes: [
    "The module's default export, or its export named handler, handles every route.",
    "On a host other than 127.0.0.1, @connections needs requests signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
  ],
} as const satisfies Usage;

export const dev: Command = { usage, run };

type DevFlags = Arguments<typeof usage.flags>["flags"];

const LAMBDA_FLAGS = ["dynamodb-endpoint", "tick", "timeout", "concurrency"] as const;

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  const target = readTarget(flags, positionals);
  // Load the file before reading PORT and HOST, because it may set them.
  if (flags["env-file"] !== undefined) loadEnvFile(flags["env-file"]);
  const server = await startServer(readSettings(flags, target), terminal);
  await waitForStop((line) => terminal.stderr.write(`${line}\n`));
  await server.close();
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
  const dynamoDBEndpoint = flags["dynamodb-endpoint"];
  if (dynamoDBEndpoint !== undefined && !URL.canParse(dynamoDBEndpoint)) {
    throw usageError(usage, `--dynamodb-endpoint must be a URL; got "${dynamoDBEndpoint}"`);
  }
  return {
    folder,
    environment: flags["env-file"] === undefined ? {} : readEnvFile(flags["env-file"]),
    dynamoDBEndpoint,
    tickMs: 1000 * readNumber(flags.tick ?? "60", "--tick", 86_400),
    timeoutMs: 1000 * readNumber(flags.timeout ?? "30", "--timeout", 900),
    concurrency: readNumber(flags.concurrency ?? "10", "--concurrency", 1_000),
  };
}

function readSettings(flags: DevFlags, run: ServerSettings["run"]): ServerSettings {
  const { env } = process;
  return {
    run,
    host: flags.host || env.HOST || "127.0.0.1",
    port: flags.port === undefined ? readPort(env.PORT || "3001", "PORT") : readPort(flags.port, "--port"),
    stage: flags.stage ?? "dev",
    apiId: flags["api-id"] === undefined ? undefined : readApiId(flags["api-id"]),
    allowedOrigins: flags.origin?.map(readOrigin) ?? [],
    allowedHosts: flags["allowed-host"]?.map(readHost) ?? [],
    tickets: readTickets(flags),
    watch: flags.watch ?? false,
    http: flags.http === undefined ? undefined : parseReference(flags.http, process.cwd()),
  };
}

function readNumber(text: string, flag: string, maximum: number): number {
  const number = Number(text);
  if (/^[1-9]\d*$/.test(text) && number <= maximum) return number;
  throw usageError(usage, `${flag} must be a whole number from 1 to ${maximum}; got "${text}"`);
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

function readOrigin(text: string): string {
  if (text === "*" || isOrigin(text)) return text;
  throw usageError(usage, `--origin must be an origin, such as https://app.example; got "${text}"`);
}

function readHost(text: string): string {
  if (/^[^/?#@\\:\s]+$/.test(text) && URL.canParse(`http://${text}`))
    return new URL(`http://${text}`).hostname;
  throw usageError(usage, `--allowed-host must be a name without a port, such as app.example; got "${text}"`);
}

function readPort(text: string, source: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw usageError(usage, `${source} must be a number from 0 to 65535; got "${text}"`);
}
