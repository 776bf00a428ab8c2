import type { OwnedRequest, RequestOwner, StoredRequests } from "../streamer/index.ts";
import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { loadEnvFile } from "./environment.ts";
import { CliError } from "./errors.ts";
import { parseReference } from "./project/handlers.ts";
import { loadQuietly } from "./project/load-quietly.ts";
import { pickStreamer } from "./project/streamers.ts";

const usage = {
  name: "requests",
  summary: "List, show, cancel and run again the stored requests of a Streamer.",
  forms: [
    "list <module>[#export] [--user <user> [--tenant <tenant>]] [flags]",
    "show <module>[#export] <id> [flags]",
    "redrive <module>[#export] <id> [flags]",
    "cancel <module>[#export] <id> [flags]",
  ],
  flags: {
    user: {
      type: "string",
      placeholder: "<user>",
      help: "The user who made the requests. Default: an anonymous client; for list, all users",
    },
    tenant: { type: "string", placeholder: "<tenant>", help: "The user's tenant. Default: none" },
    json: { type: "boolean", help: "Print one JSON object per line" },
    "env-file": {
      type: "string",
      placeholder: "<file>",
      help: "Environment variables to set before the module loads",
    },
  },
  notes: [
    "The module exports a Streamer from createStreamer; #export selects one of several. Nothing is served.",
    "list without --user lists the dead letters: the requests that failed and are not retried.",
    "redrive runs a failed request again, from its last checkpoint.",
    "A SQLite file belongs to one process: stop the server first.",
  ],
} as const satisfies Usage;

export const requests: Command = { usage, run };

const VERBS = ["list", "show", "redrive", "cancel"];

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  const [verb = "", module, id, extra] = positionals;
  if (!VERBS.includes(verb)) throw usageError(usage, `Expected one of ${VERBS.join(", ")}`);
  if (module === undefined) throw usageError(usage, "Missing argument: the module that exports the Streamer");
  if (verb === "list" ? id !== undefined : id === undefined || extra !== undefined) {
    throw usageError(
      usage,
      verb === "list" ? `Unexpected argument "${id}"` : "Expected the id of one request",
    );
  }
  if (verb === "list" && flags.user === undefined && flags.tenant !== undefined) {
    throw usageError(usage, "list with --tenant requires --user");
  }
  const reference = parseReference(module, process.cwd());
  if (flags["env-file"] !== undefined) loadEnvFile(flags["env-file"]);
  const streamer = pickStreamer(await loadQuietly(reference, module), reference);
  const { requests: stored } = streamer;
  if (stored === undefined) throw new CliError("FAILED", "The Streamer's store does not support requests");
  const owner: RequestOwner = { userId: flags.user, tenantId: flags.tenant };
  const print = (request: object) =>
    terminal.stdout.write(
      flags.json ? `${JSON.stringify(request)}\n` : `${format(request as OwnedRequest)}\n`,
    );
  await runVerb(verb, id ?? "", owner, stored, print);
  return 0;
}

async function runVerb(
  verb: string,
  id: string,
  owner: RequestOwner,
  stored: StoredRequests,
  print: (request: object) => void,
): Promise<void> {
  try {
    if (verb === "list") for await (const request of listRequests(owner, stored)) print(request);
    else if (verb === "show") print({ ...owner, ...(await stored.get(id, owner)) });
    else if (verb === "redrive") print(await stored.redrive(id, owner));
    else print(await stored.cancel(id, owner));
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code !== "NOT_FOUND") throw error;
    const what = verb === "redrive" ? "failed request" : "request";
    throw new CliError("FAILED", `There is no ${what} ${id} of this user: check --user and --tenant`);
  }
}

async function* listRequests(owner: RequestOwner, stored: StoredRequests): AsyncGenerator<OwnedRequest> {
  if (owner.userId === undefined) {
    yield* stored.failed();
    return;
  }
  for (let after: string | undefined; ; ) {
    const { requests, next } = await stored.list(owner, {
      limit: 100,
      ...(after !== undefined && { after }),
    });
    yield* requests;
    if (next === undefined) return;
    after = next;
  }
}

/** Formats a request as one line, and its result, which may be long, as a second one. */
function format(request: OwnedRequest & { readonly result?: unknown }): string {
  const { id, action, state, attempt, updatedAt, tenantId, userId, progress, error, result } = request;
  const fields = [
    id,
    action,
    state,
    `attempt ${attempt}`,
    new Date(updatedAt).toISOString(),
    userId === undefined ? "" : `user ${userId}`,
    tenantId === undefined ? "" : `tenant ${tenantId}`,
    progress === undefined || state === "COMPLETED"
      ? ""
      : `${progress.percentage} % ${progress.message ?? ""}`.trim(),
    error === undefined ? "" : `${error.code}: ${error.message}`,
  ];
  const line = fields.filter((field) => field !== "").join("  ");
  return result === undefined ? line : `${line}\n${JSON.stringify(result)}`;
}
