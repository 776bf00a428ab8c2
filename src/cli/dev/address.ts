import { createServer } from "node:net";
import { type Gateway, GatewayError, parseHostname, serviceHost } from "../../gateway/index.ts";
import type { ApiHosts } from "../../lambda-emulator/index.ts";
import { CliError } from "../errors.ts";

/**
 * The port to use, found free before anything is loaded: handlers are told where they are reached before they run.
 * @param port 0: any
 * @throws {CliError} FAILED, when it is taken or the host is not this machine's
 */
export function findPort(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error.code, port, host)));
    probe.listen({ port, host, exclusive: true }, () => {
      const address = probe.address() as { port: number };
      probe.close(() => resolve(address.port));
    });
  });
}

/** Starts the gateway. @throws {CliError} FAILED */
export async function listen(gateway: Gateway, port: number, host: string): Promise<void> {
  try {
    await gateway.listen({ port, host });
  } catch (error) {
    if (error instanceof GatewayError) {
      throw error.code === "ADDRESS_IN_USE"
        ? listenError("EADDRINUSE", port, host)
        : new CliError("FAILED", error.message);
    }
    throw error;
  }
}

/** Where @connections will answer: as the gateway's `endpoint` says once it listens. */
export function toEndpoint(host: string, port: number, stage: string): string {
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}/${stage}`;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** The `domainName` in events: where the gateway is reached, with its port. */
export function toDomainName({ host, port }: Address): string {
  if (host === "0.0.0.0" || host === "::") return `localhost:${port}`;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The hosts at which handlers may look for @connections: the name on AWS, and what events say. */
export function toApiHosts(address: Address, apiId: string, region: string): ApiHosts {
  const domainName = toDomainName(address);
  const name = parseHostname(domainName) ?? address.host;
  const host = address.host === "0.0.0.0" ? "127.0.0.1" : address.host === "::" ? "::1" : address.host;
  return {
    names: [serviceHost(apiId, region), domainName.toLowerCase()],
    httpsNames: [name, name.replace(/^\[|\]$/g, "")],
    gateway: { host, port: address.port },
  };
}

function listenError(code: string | undefined, port: number, host: string): CliError {
  switch (code) {
    case "EADDRINUSE":
      return new CliError("FAILED", `Port ${port} is taken: stop what uses it, or give another with --port`);
    case "EACCES":
      return new CliError("FAILED", `Port ${port} is not for this user: give one above 1023 with --port`);
    default:
      return new CliError(
        "FAILED",
        `Can't listen on ${host} (${code}): give this machine's address with --host`,
      );
  }
}
