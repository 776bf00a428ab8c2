import { existsSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { styleText } from "node:util";
import {
  type Credentials,
  createApiId,
  createRefusalLogger,
  type Gateway,
  GatewayError,
} from "../../gateway/index.ts";
import { networkUrls } from "../../internal/network-urls.ts";
import { isLoopback } from "../../internal/this-machine.ts";
import { redirectApiHosts } from "../../lambda-emulator/index.ts";
import type { Terminal } from "../arguments.ts";
import { developmentCertificate, trustCertificate } from "../certificate/certificate.ts";
import { developmentEnvironment } from "../development.ts";
import { readCredentials, setDefaults, setLambdaEnvironment } from "../environment.ts";
import { CliError } from "../errors.ts";
import {
  type ApiDescription,
  type LambdaSettings,
  startLambdaEnvironment,
} from "../lambda/lambda-environment.ts";
import { createEventLog, logError } from "../log.ts";
import { displayPath, type Reference } from "../project/handlers.ts";
import { type LoadedApp, loadListener, type Target } from "../project/loaded-app.ts";
import { readRoutesFile } from "../project/routes-file.ts";
import { findPort, listen, toApiHosts, toDomainName, toEndpoint } from "./address.ts";
import { DevHost } from "./host.ts";
import { AppLoader } from "./loader.ts";
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

export interface DevServer {
  /** Stops gracefully. */
  close(): Promise<void>;
}

/** What answers the API's events, and what to say of it. */
interface AppSource {
  readonly program: LoadedApp;
  readonly shown: string;
  /** Lines of the start, a name and what there is to say. */
  readonly notes: readonly (readonly [string, string])[];
  watch?(host: DevHost): SaveWatcher;
  close(): Promise<void>;
}

/** Loads what `settings` names and serves it. @throws {CliError} */
export async function startServer(settings: ServerSettings, terminal: Terminal): Promise<DevServer> {
  const { host, stage } = settings;
  const region = process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || DEFAULT_REGION;
  const credentials = requireCredentials(host);
  const port = await findPort(settings.port, host);
  const tls = await developmentCertificate(host);
  trustCertificate(tls.cert);
  const apiId = settings.apiId ?? (await readRoutesApiId(settings.run)) ?? createApiId();
  const ownHosts = toApiHosts({ host, port }, apiId, region);
  const api = { endpoint: toEndpoint(host, port, stage), host, region, credentials, ownHosts };
  // Before any handler is loaded, which may keep what it finds.
  redirectApiHosts(ownHosts);
  const source = await openSource(settings, api, terminal);
  try {
    const running = createHost(
      source.program,
      {
        stage,
        region,
        apiId,
        domainName: toDomainName({ host, port }),
        tls,
        ...(credentials && { credentials }),
        ...(settings.http && { http: await loadHttpListener(settings.http, host, port) }),
        ownOrigins: true,
        allowedOrigins: settings.allowedOrigins,
        allowedHosts: settings.allowedHosts,
        onRefused: createRefusalLogger((line) => terminal.stderr.write(`${line}\n`), HOW_TO_ALLOW),
        onEvent: createEventLog(terminal),
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

async function openSource(
  { run, tickets }: ServerSettings,
  api: ApiDescription,
  terminal: Terminal,
): Promise<AppSource> {
  if (run.kind === "lambda") return openBundles(run, api, terminal);
  const handler = displayPath(run.kind === "module" ? run.reference.file : run.path);
  setLambdaEnvironment(process.env, { endpoint: api.endpoint, region: api.region, handler });
  setDefaults(process.env, await developmentEnvironment(api.host));
  const loader = new AppLoader(run, tickets, terminal);
  return {
    program: await loader.load(),
    shown: handler,
    notes: [],
    watch: (host) => loader.watch(host),
    close: async () => {},
  };
}

async function openBundles(
  settings: LambdaSettings,
  api: ApiDescription,
  terminal: Terminal,
): Promise<AppSource> {
  const {
    app: program,
    functionNames,
    dynamoDBEndpoint,
    tables,
    close,
  } = await startLambdaEnvironment(settings, api, terminal);
  return {
    program,
    shown: displayPath(settings.folder),
    notes: [
      ["Functions", functionNames.join("  ")],
      ["DynamoDB", `${dynamoDBEndpoint}  (${tables.join("  ")})`],
    ],
    close,
  };
}

async function readRoutesApiId(run: ServerSettings["run"]): Promise<string | undefined> {
  if (run.kind === "module") return undefined;
  const path = run.kind === "routes" ? run.path : join(run.folder, "routes.json");
  return run.kind === "routes" || existsSync(path) ? (await readRoutesFile(path)).apiId : undefined;
}

/** It finds HOST and PORT as the server has them. */
function loadHttpListener(reference: Reference, host: string, port: number): Promise<RequestListener> {
  process.env.HOST = host;
  process.env.PORT = String(port);
  return loadListener(reference);
}

/** @throws {CliError} FAILED, when others can reach `host` and the environment holds no key pair */
function requireCredentials(host: string): Credentials | undefined {
  if (isLoopback(host)) return undefined;
  const credentials = readCredentials(process.env);
  if (credentials !== undefined) return credentials;
  throw new CliError(
    "FAILED",
    `Others can reach ${host}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which @connections will then ask for, or give --host 127.0.0.1`,
  );
}

function createHost(...parts: ConstructorParameters<typeof DevHost>): DevHost {
  try {
    return new DevHost(...parts);
  } catch (error) {
    if (error instanceof GatewayError)
      throw new CliError("USAGE", `The API can't be served: ${error.message}`);
    throw error;
  }
}

function printStart(host: DevHost, source: AppSource, settings: ServerSettings, terminal: Terminal): void {
  const { gateway } = host;
  const stream = terminal.stdout;
  const line = (name: string, text: string) => `${styleText("dim", name.padEnd(14), { stream })}${text}`;
  const routes = host.routeKeys.join("  ") || `all → ${source.shown}`;
  stream.write(
    [
      "",
      line("WebSocket", `${styleText("bold", gateway.url, { stream })}  (and ${toSecureUrl(gateway)})`),
      ...networkUrls(gateway.url, settings.host).map((url) => line("Network", url)),
      line("@connections", `${gateway.endpoint}/@connections/{id}`),
      ...(host.ticketsUrl === undefined ? [] : [line("Tickets", host.ticketsUrl)]),
      ...(settings.http ? [line("HTTP", new URL("/", gateway.endpoint).href)] : []),
      ...(host.hasTick ? [line("Tick", "every second")] : []),
      ...source.notes.map(([name, text]) => line(name, text)),
      line("Routes", routes),
      ...(settings.watch ? [line("Watching", "a save loads the handlers again")] : []),
      "",
      "",
    ].join("\n"),
  );
}

/** The same port answers TLS too. */
function toSecureUrl(gateway: Gateway): string {
  return gateway.url.replace("ws:", "wss:");
}
