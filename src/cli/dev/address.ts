import { createServer } from "node:net";
import { type Gateway, GatewayError, parseHostname, serviceHost } from "../../gateway/index.ts";
import type { ApiHosts } from "../../lambda-emulator/index.ts";
import { CliError } from "../errors.ts";

/**
 * Returns a free port. It is needed before the handlers are loaded, because their environment contains the endpoint.
 * @param port 0 for any free port
 * @throws {CliError} FAILED when the port is in use or the host is not an address of this machine
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

/** Returns the @connections endpoint, equal to the gateway's `endpoint` once it listens. */
export function toEndpoint(host: string, port: number, stage: string): string {
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}/${stage}`;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** Returns the `domainName` of events: the gateway's address with its port. */
export function toDomainName({ host, port }: Address): string {
  if (host === "0.0.0.0" || host === "::") return `localhost:${port}`;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Returns the hosts that handlers may use for @connections: the name on AWS, and the `domainName` of events. */
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
      return new CliError(
        "FAILED",
        `Port ${port} is already in use: stop the other program, or set another port with --port`,
      );
    case "EACCES":
      return new CliError("FAILED", `Port ${port} needs more privileges: set one above 1023 with --port`);
    default:
      return new CliError(
        "FAILED",
        `Cannot listen on ${host} (${code}): set an address of this machine with --host`,
      );
  }
}
