import { isOrigin } from "../../internal/origin.ts";
import { type Arguments, type Flags, type Usage, usageError } from "../arguments.ts";
import { parseReference } from "../project/handlers.ts";
import type { ServerSettings } from "./server.ts";

/** The flags of every command that serves a WebSocket API. */
export const SERVER_FLAGS = {
  port: { type: "string", placeholder: "<number>", help: "Default PORT, or 3001; 0 chooses a free port" },
  host: { type: "string", placeholder: "<address>", help: "Default HOST, or 127.0.0.1" },
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
  http: { type: "string", placeholder: "<module>", help: "Handles other HTTP requests to the port" },
} as const satisfies Flags;

type ServerFlags = Arguments<typeof SERVER_FLAGS>["flags"];

/** Reads the flags and the variables HOST and PORT. @throws {CliError} USAGE */
export function readServerFlags(
  usage: Usage,
  flags: ServerFlags,
): Pick<ServerSettings, "allowedHosts" | "allowedOrigins" | "host" | "http" | "port"> {
  const { env } = process;
  const readPort = (text: string, source: string): number => {
    const port = Number(text);
    if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
    throw usageError(usage, `${source} must be a number from 0 to 65535; got "${text}"`);
  };
  const readOrigin = (text: string): string => {
    if (text === "*" || isOrigin(text)) return text;
    throw usageError(usage, `--origin must be an origin, such as https://app.example; got "${text}"`);
  };
  const readHost = (text: string): string => {
    if (/^[^/?#@\\:\s]+$/.test(text) && URL.canParse(`http://${text}`))
      return new URL(`http://${text}`).hostname;
    throw usageError(
      usage,
      `--allowed-host must be a name without a port, such as app.example; got "${text}"`,
    );
  };
  return {
    host: flags.host || env.HOST || "127.0.0.1",
    port: flags.port === undefined ? readPort(env.PORT || "3001", "PORT") : readPort(flags.port, "--port"),
    allowedOrigins: flags.origin?.map(readOrigin) ?? [],
    allowedHosts: flags["allowed-host"]?.map(readHost) ?? [],
    http: flags.http === undefined ? undefined : parseReference(flags.http, process.cwd()),
  };
}

/** Reads the endpoint of DynamoDB. @throws {CliError} USAGE */
export function readEndpoint(usage: Usage, endpoint: string | undefined): string | undefined {
  if (endpoint === undefined || URL.canParse(endpoint)) return endpoint;
  throw usageError(usage, `--dynamodb-endpoint must be a URL; got "${endpoint}"`);
}

/** Reads a whole number from 1. @throws {CliError} USAGE */
export function readNumber(usage: Usage, text: string, flag: string, maximum: number): number {
  const number = Number(text);
  if (/^[1-9]\d*$/.test(text) && number <= maximum) return number;
  throw usageError(usage, `${flag} must be a whole number from 1 to ${maximum}; got "${text}"`);
}
