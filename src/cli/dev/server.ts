import { existsSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { styleText } from "node:util";
import { type Credentials, type Gateway, GatewayError, newApiId, refusalLog } from "../../gateway/index.ts";
import { networkUrls } from "../../internal/network-urls.ts";
import { isLoopback } from "../../internal/this-machine.ts";
import { redirectOwnHosts } from "../../lambda-emulator/index.ts";
import type { Terminal } from "../arguments.ts";
import { developmentCertificate, trust } from "../certificate/certificate.ts";
import { developmentEnvironment } from "../development.ts";
import { environmentCredentials, setDefaults, setLambdaEnvironment } from "../environment.ts";
import { CliError } from "../errors.ts";
import { type Api, type LambdaSettings, startLambda } from "../lambda/lambda-environment.ts";
import { eventLog, logError } from "../log.ts";
import { type Reference, shown } from "../project/handlers.ts";
import { loadListener, type Program, type Target } from "../project/loaded-app.ts";
import { readRoutesFile } from "../project/routes-file.ts";
import { domainNameOf, endpointOf, findPort, listen, ownHostsOf } from "./address.ts";
import { Host } from "./host.ts";
import { Loader } from "./loader.ts";
import type { SaveWatcher } from "./watch.ts";

const HOW_TO_ALLOW = { Origin: "--origin …", Host: "--allowed-host …" };

const DEFAULT_REGION = "us-east-1";

export interface ServerSettings {
  readonly run: Target | ({ readonly kind: "lambda" } & LambdaSettings);
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly stage: string;
  /** Default: that of the routes file, else a random one. */
  readonly apiId: string | undefined;
  /** Pages that may connect, besides this machine's and the server's own. */
  readonly allowedOrigins: readonly string[];
  /** Names that `Host` may have on loopback, besides loopback names. */
  readonly allowedHosts: readonly string[];
  /** What answers at `/tickets`. */
  readonly tickets: Reference | undefined;
  readonly watch: boolean;
  readonly http: Reference | undefined;
}

export interface Server {
  /** Stops gracefully. */
  close(): Promise<void>;
}

/** What answers the API's events, and what to say of it. */
interface Source {
  readonly program: Program;
  readonly shown: string;
  /** Lines of the start, a name and what there is to say. */
  readonly notes: readonly (readonly [string, string])[];
  watch?(host: Host): SaveWatcher;
  close(): Promise<void>;
}

/** Loads what `settings` names and serves it. @throws {CliError} */
export async function startServer(settings: ServerSettings, terminal: Terminal): Promise<Server> {
  const { host, stage } = settings;
  const region = process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || DEFAULT_REGION;
  const credentials = credentialsFor(host);
  const port = await findPort(settings.port, host);
  const tls = await developmentCertificate(host);
  trust(tls.cert);
  const apiId = settings.apiId ?? (await apiIdOf(settings.run)) ?? newApiId();
  const ownHosts = ownHostsOf({ host, port }, apiId, region);
  const api = { endpoint: endpointOf(host, port, stage), host, region, credentials, ownHosts };
  // Before any handler is loaded, which may keep what it finds.
  redirectOwnHosts(ownHosts);
  const source = await openSource(settings, api, terminal);
  try {
    const running = createHost(
      source.program,
      {
        stage,
        region,
        apiId,
        domainName: domainNameOf({ host, port }),
        tls,
        ...(credentials && { credentials }),
        ...(settings.http && { http: await openListener(settings.http, host, port) }),
        ownOrigins: true,
        allowedOrigins: settings.allowedOrigins,
        allowedHosts: settings.allowedHosts,
        onRefused: refusalLog((line) => terminal.stderr.write(`${line}\n`), HOW_TO_ALLOW),
        onEvent: eventLog(terminal),
      },
      (error) => logError(error, terminal.stderr),
    );
    await listen(running.gateway, port, host);
    const watcher = settings.watch ? source.watch?.(running) : undefined;
    // Lambda would end this one copy of the function; here the sockets of all are in the same process.
    process.on("uncaughtException", (error) => logError(error, terminal.stderr));
    printStart(running, source, settings, terminal);
    return {
      async close() {
        watcher?.close();
        await running.gateway.close({ spreadMs: 0 });
        await source.close();
      },
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function openSource({ run, tickets }: ServerSettings, api: Api, terminal: Terminal): Promise<Source> {
  if (run.kind === "lambda") return openBundles(run, api, terminal);
  const handler = shown(run.kind === "module" ? run.reference.file : run.path);
  setLambdaEnvironment(process.env, { endpoint: api.endpoint, region: api.region, handler });
  setDefaults(process.env, await developmentEnvironment(api.host));
  const loader = new Loader(run, tickets, terminal);
  return {
    program: await loader.load(),
    shown: handler,
    notes: [],
    watch: (host) => loader.watch(host),
    close: async () => {},
  };
}

async function openBundles(settings: LambdaSettings, api: Api, terminal: Terminal): Promise<Source> {
  const { program, functionNames, dynamoDBEndpoint, tables, close } = await startLambda(
    settings,
    api,
    terminal,
  );
  return {
    program,
    shown: shown(settings.folder),
    notes: [
      ["Functions", functionNames.join("  ")],
      ["DynamoDB", `${dynamoDBEndpoint}  (${tables.join("  ")})`],
    ],
    close,
  };
}

async function apiIdOf(run: ServerSettings["run"]): Promise<string | undefined> {
  if (run.kind === "module") return undefined;
  const path = run.kind === "routes" ? run.path : join(run.folder, "routes.json");
  return run.kind === "routes" || existsSync(path) ? (await readRoutesFile(path)).apiId : undefined;
}

/** It finds HOST and PORT as the server has them. */
function openListener(reference: Reference, host: string, port: number): Promise<RequestListener> {
  process.env.HOST = host;
  process.env.PORT = String(port);
  return loadListener(reference);
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

function printStart(host: Host, source: Source, settings: ServerSettings, terminal: Terminal): void {
  const { gateway } = host;
  const stream = terminal.stdout;
  const line = (name: string, text: string) => `${styleText("dim", name.padEnd(14), { stream })}${text}`;
  const routes = host.routeKeys.join("  ") || `all → ${source.shown}`;
  stream.write(
    [
      "",
      line("WebSocket", `${styleText("bold", gateway.url, { stream })}  (and ${secure(gateway)})`),
      ...networkUrls(gateway.url, settings.host).map((url) => line("Network", url)),
      line("@connections", `${gateway.endpoint}/@connections/{id}`),
      ...(host.ticketsUrl === undefined ? [] : [line("Tickets", host.ticketsUrl)]),
      ...(settings.http ? [line("HTTP", new URL("/", gateway.endpoint).href)] : []),
      ...(host.ticks ? [line("Tick", "every second")] : []),
      ...source.notes.map(([name, text]) => line(name, text)),
      line("Routes", routes),
      ...(settings.watch ? [line("Watching", "a save loads the handlers again")] : []),
      "",
      "",
    ].join("\n"),
  );
}

/** The same port answers TLS too. */
function secure(gateway: Gateway): string {
  return gateway.url.replace("ws:", "wss:");
}
