import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { asyncApiDocument, type DocumentOptions } from "./asyncapi/document.ts";
import { loadEnvFile } from "./environment.ts";
import { CliError } from "./errors.ts";
import { parseReference, type Reference } from "./project/handlers.ts";
import { DEFAULT_URL, loadQuietly } from "./project/load-quietly.ts";
import { pickStreamer } from "./project/streamers.ts";

const usage = {
  name: "asyncapi",
  summary: "Print an AsyncAPI 3 document (JSON) of a Streamer: its messages, with their schemas.",
  forms: ["<module>[#export] [flags]"],
  flags: {
    out: { type: "string", placeholder: "<file>", help: "Write the document to a file. Default: print it" },
    url: { type: "string", placeholder: "<url>", help: `Where clients connect. Default ${DEFAULT_URL}` },
    "env-file": {
      type: "string",
      placeholder: "<file>",
      help: "Environment variables to set before the module loads",
    },
  },
  notes: [
    "The module exports a Streamer from createStreamer; #export selects one of several.",
    "The command loads the module as dev does, and serves nothing.",
    "Title, version and description come from the nearest package.json above the module.",
  ],
} as const satisfies Usage;

export const asyncapi: Command = { usage, run };

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  const [module, extra] = positionals;
  if (module === undefined) throw usageError(usage, "Missing argument: the module that exports the Streamer");
  if (extra !== undefined) throw usageError(usage, `Unexpected argument "${extra}"`);
  const url = readUrl(flags.url ?? DEFAULT_URL);
  const reference = parseReference(module, process.cwd());
  if (flags["env-file"] !== undefined) loadEnvFile(flags["env-file"]);
  const streamer = pickStreamer(await loadQuietly(reference, module, url), reference);
  const { document, missing } = asyncApiDocument(streamer.describe(), { ...packageOf(reference), url });
  const json = `${JSON.stringify(document, null, 2)}\n`;
  if (flags.out === undefined) terminal.stdout.write(json);
  else write(flags.out, json);
  for (const line of missing) terminal.stderr.write(`lift-ws: ${line}\n`);
  return 0;
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && url.href === `${url.protocol}//${url.host}${url.pathname}`;
  if (isPlain && /^wss?:$/.test(url.protocol)) return url;
  throw usageError(usage, "--url takes a ws:// or wss:// URL without a user, a query or a fragment");
}

/** Reads the nearest package.json that has a name. */
function packageOf({ file }: Reference): Omit<DocumentOptions, "url"> {
  const folder = dirname(file);
  const { name, version, description } = nearestManifest(folder);
  return {
    title: text(name) ?? basename(file, extname(file)),
    version: text(version) ?? "0.0.0",
    description: text(description),
  };
}

function nearestManifest(folder: string): Manifest {
  const manifest = readManifest(folder);
  const above = dirname(folder);
  return text(manifest.name) !== undefined || above === folder ? manifest : nearestManifest(above);
}

interface Manifest {
  readonly name?: unknown;
  readonly version?: unknown;
  readonly description?: unknown;
}

function readManifest(folder: string): Manifest {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) ?? {};
  } catch {
    return {}; // missing, or not readable
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError("FAILED", `Can't write ${resolve(file)} (${code})`);
  }
}
