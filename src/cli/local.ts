import { resolve } from "node:path";
import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { readRegion, serveUntilStopped } from "./dev/server.ts";
import { readEndpoint, readNumber, readServerFlags, SERVER_FLAGS } from "./dev/server-flags.ts";
import { readEnvFile } from "./environment.ts";
import { readStack, stackNameOf } from "./local/stack.ts";

const usage = {
  name: "local",
  summary: "Run a CloudFormation template with a WebSocket API on this machine, its policies enforced.",
  forms: ["<template> [flags]"],
  flags: {
    ...SERVER_FLAGS,
    parameter: {
      type: "string",
      multiple: true,
      placeholder: "<name=value>",
      help: "A parameter of the template. Repeatable",
    },
    "stack-name": { type: "string", placeholder: "<name>", help: "Default: the template's file name" },
    "env-file": {
      type: "string",
      placeholder: "<file>",
      help: "Variables of all functions, in place of those in the template",
    },
    "dynamodb-endpoint": {
      type: "string",
      placeholder: "<url>",
      help: "The DynamoDB endpoint. Default: start DynamoDB Local",
    },
    watch: {
      type: "boolean",
      help: "Run changed functions and policies after a save of the template or the code; sockets stay open",
    },
    schedule: {
      type: "string",
      placeholder: "<seconds>",
      help: "Call every schedule at this interval. Default: the template's",
    },
  },
  notes: [
    "The template may be JSON or YAML, as `cdk synth` writes it: cdk.out/Chat.template.json.",
    "What the template has and this does not run is listed at the start.",
  ],
} as const satisfies Usage;

export const local: Command = { usage, run };

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  const [file, extra] = positionals;
  if (file === undefined) throw usageError(usage, "Nothing to run: give a template");
  if (extra !== undefined) throw usageError(usage, `Unexpected argument "${extra}"`);
  const settings = {
    file: resolve(file),
    stackName: readStackName(flags["stack-name"]) ?? stackNameOf(file),
    region: readRegion(),
    parameters: Object.fromEntries(flags.parameter?.map(readParameter) ?? []),
  };
  const stack = readStack(settings);
  await serveUntilStopped(
    {
      ...readServerFlags(usage, flags),
      run: {
        kind: "stack",
        stack,
        readStack: () => readStack(settings),
        environment: flags["env-file"] === undefined ? {} : readEnvFile(flags["env-file"]),
        dynamoDBEndpoint: readEndpoint(usage, flags["dynamodb-endpoint"]),
        scheduleMs:
          flags.schedule === undefined
            ? undefined
            : 1_000 * readNumber(usage, flags.schedule, "--schedule", 86_400),
      },
      stage: stack.stage.ref,
      apiId: stack.api.ref,
      tickets: undefined,
      watch: flags.watch ?? false,
    },
    terminal,
  );
  return 0;
}

/** Names of resources begin with it, so CloudFormation takes few characters. */
function readStackName(name: string | undefined): string | undefined {
  if (name === undefined || /^[a-zA-Z][a-zA-Z0-9-]{0,127}$/.test(name)) return name;
  const expected = "1 to 128 letters, digits and -, the first a letter";
  throw usageError(usage, `--stack-name must have ${expected}; got "${name}"`);
}

function readParameter(text: string): readonly [name: string, value: string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw usageError(usage, `--parameter must be name=value; got "${text}"`);
}
