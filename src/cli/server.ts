import { styleText } from "node:util";
import { type Credentials, type Gateway, GatewayError } from "../gateway/index.ts";
import type { Terminal } from "./arguments.ts";
import { developmentCertificate, trust } from "./certificate.ts";
import { isLoopback } from "./development.ts";
import { environmentCredentials, setLambdaEnvironment } from "./environment.ts";
import { CliError } from "./errors.ts";
import { shown } from "./handlers.ts";
import { Host } from "./host.ts";
import { endpointOf, findPort, listen } from "./listening.ts";
import { Loader } from "./loader.ts";
import { logError, logEvent } from "./log.ts";
import type { Target } from "./program.ts";

const DEFAULT_REGION = "us-east-1";

export interface ServerSettings {
  readonly target: Target;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly stage: string;
  readonly watch: boolean;
}

export interface Server {
  /** Stops gracefully. */
  close(): Promise<void>;
}

/** Loads what `settings` names and serves it. @throws {CliError} */
export async function startServer(settings: ServerSettings, terminal: Terminal): Promise<Server> {
  const { target, host, stage } = settings;
  const region = process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || DEFAULT_REGION;
  const credentials = credentialsFor(host);
  const port = await findPort(settings.port, host);
  const handler = shown(target.kind === "module" ? target.reference.file : target.path);
  setLambdaEnvironment(process.env, { endpoint: endpointOf(host, port, stage), region, handler });
  const tls = await developmentCertificate(host);
  trust(tls.cert);

  const loader = new Loader(target, terminal);
  const running = createHost(await loader.load(), {
    stage,
    region,
    tls,
    ...(credentials && { credentials }),
    onEvent: (report) => logEvent(report, terminal, new Date()),
  });
  await listen(running.gateway, port, host);
  const watcher = settings.watch ? loader.watch(running) : undefined;
  // Lambda would end this one copy of the function; here the sockets of all are in the same process.
  process.on("uncaughtException", (error) => logError(error, terminal.stderr));
  printStart(running, handler, settings.watch, terminal);
  return {
    async close() {
      watcher?.close();
      await running.gateway.close({ spreadMs: 0 });
    },
  };
}

/** @throws {CliError} FAILED, when others can reach `host` and the environment holds no key pair */
function credentialsFor(host: string): Credentials | undefined {
  if (isLoopback(host)) return undefined;
  const credentials = environmentCredentials(process.env);
  if (credentials !== undefined) return credentials;
  throw new CliError(
    "FAILED",
    `Others can reach ${host}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which @connections will then ask for, or give --host 127.0.0.1`,
  );
}

function createHost(...parts: ConstructorParameters<typeof Host>): Host {
  try {
    return new Host(...parts);
  } catch (error) {
    if (error instanceof GatewayError)
      throw new CliError("USAGE", `The API can't be served: ${error.message}`);
    throw error;
  }
}

function printStart(host: Host, handler: string, watch: boolean, terminal: Terminal): void {
  const { gateway } = host;
  const stream = terminal.stdout;
  const name = (text: string) => styleText("dim", text.padEnd(14), { stream });
  const routes = host.routeKeys.join("  ") || `all → ${handler}`;
  stream.write(
    [
      "",
      `${name("WebSocket")}${styleText("bold", gateway.url, { stream })}  (and ${secure(gateway)})`,
      `${name("@connections")}${gateway.endpoint}/@connections/{id}`,
      `${name("Routes")}${routes}`,
      ...(watch ? [`${name("Watching")}a save loads the handlers again`] : []),
      "",
      "",
    ].join("\n"),
  );
}

/** The same port answers TLS too. */
function secure(gateway: Gateway): string {
  return gateway.url.replace("ws:", "wss:");
}
