import { isLoopback } from "../internal/this-machine.ts";
import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { mintDevelopmentToken } from "./development.ts";
import { CliError } from "./errors.ts";

const usage = {
  name: "token",
  summary: "Print a development token (a JWT) for a user, signed with this checkout's own secret.",
  forms: ["--sub <user> [--tenant <tenant>] [flags]"],
  flags: {
    sub: { type: "string", value: "<user>", help: "Required. The user: the claim sub" },
    tenant: {
      type: "string",
      value: "<tenant>",
      help: "The user's tenant: the claim tenant_id. Default none",
    },
    expires: { type: "string", value: "<duration>", help: "How long it lasts: 30s, 15m, 1h, 7d. Default 1h" },
    host: {
      type: "string",
      value: "<address>",
      help: "Where the server listens. Default HOST, or 127.0.0.1",
    },
  },
  notes: [
    "The secret is .lift-ws/secret in the working directory: run this where the server was started.",
    "A server that other machines can reach takes no development tokens, so none is made for it.",
  ],
} as const satisfies Usage;

export const token: Command = { usage, run };

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  if (positionals.length > 0) throw usageError(usage, `Unexpected argument "${positionals[0]}"`);
  const { sub, tenant, expires } = flags;
  if (!sub) throw usageError(usage, "Say whose token it is: --sub <user>");
  if (tenant === "")
    throw usageError(usage, "A tenant has a name: leave --tenant out for a user without one");
  const host = flags.host || process.env.HOST || "127.0.0.1";
  if (!isLoopback(host)) {
    throw new CliError(
      "FAILED",
      `No development token for a server on ${host}, which others can reach: unset HOST or give --host 127.0.0.1`,
    );
  }
  const expiry = expires === undefined ? {} : { expiresIn: expires };
  terminal.stdout.write(`${await mintDevelopmentToken({ sub, tenant, ...expiry })}\n`);
  return 0;
}
