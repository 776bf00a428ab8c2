import { isLoopback } from "../internal/this-machine.ts";
import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { mintDevelopmentToken } from "./development.ts";
import { CliError } from "./errors.ts";

const usage = {
  name: "token",
  summary: "Print a development token (a JWT) for a user, signed with the secret of this checkout.",
  forms: ["--sub <user> [--tenant <tenant>] [flags]"],
  flags: {
    sub: { type: "string", placeholder: "<user>", help: "Required. The user: the claim sub" },
    tenant: {
      type: "string",
      placeholder: "<tenant>",
      help: "The user's tenant: the claim tenant_id. Default: none",
    },
    expires: { type: "string", placeholder: "<duration>", help: "Lifetime: 30s, 15m, 1h, 7d. Default 1h" },
    host: {
      type: "string",
      placeholder: "<address>",
      help: "The address that the server listens on. Default HOST, or 127.0.0.1",
    },
  },
  notes: [
    "The secret is .lift-ws/secret in the working directory. Run this command where you started the server.",
    "A server that other machines can reach accepts no development tokens, so none is created for it.",
  ],
} as const satisfies Usage;

export const token: Command = { usage, run };

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  if (positionals.length > 0) throw usageError(usage, `Unexpected argument "${positionals[0]}"`);
  const { sub, tenant, expires } = flags;
  if (!sub) throw usageError(usage, "--sub <user> is required");
  if (tenant === "") throw usageError(usage, "--tenant is empty; omit it for a user without a tenant");
  const host = flags.host || process.env.HOST || "127.0.0.1";
  if (!isLoopback(host)) {
    throw new CliError(
      "FAILED",
      `No development token for a server on ${host}, which other machines can reach: unset HOST, or set --host 127.0.0.1`,
    );
  }
  const expiry = expires === undefined ? {} : { expiresIn: expires };
  terminal.stdout.write(`${await mintDevelopmentToken({ sub, tenant, ...expiry })}\n`);
  return 0;
}
