import { existsSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { styleText } from "node:util";
import {
  type Credentials,
  createApiId,
  createRefusalLogger,
  type EventReport,
  type Gateway,
  GatewayError,
} from "../../gateway/index.ts";
import { networkUrls } from "../../internal/network-urls.ts";
import { waitForStop } from "../../internal/stopping.ts";
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
import { type RunningStack, type RunSettings, runStack } from "../local/run-stack.ts";
import type { Stack } from "../local/stack.ts";
import { createEventLog, logError, logFailure, logNote } from "../log.ts";
import { displayPath, type Reference } from "../project/handlers.ts";
import { type LoadedApp, loadListener, type Target } from "../project/loaded-app.ts";
import { readRoutesFile } from "../project/routes-file.ts";
import { findPort, listen, toApiHosts, toDomainName, toEndpoint } from "./address.ts";
import { DevHost } from "./host.ts";
import { AppLoader } from "./loader.ts";
import { SaveWatcher } from "./watch.ts";

const HOW_TO_ALLOW = { Origin: "--origin …", Host: "--allowed-host …" };

const DEFAULT_REGION = "us-east-1";

/** Returns the region of the environment. */
export function readRegion(): string {
  return process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || DEFAULT_REGION;
}

/** The settings of `lift-ws dev` and `lift-ws local`. */
export interface ServerSettings {
  readonly run:
    | Target
    | ({ readonly kind: "lambda" } & LambdaSettings)
    | ({ readonly kind: "stack"; readonly stack: Stack; readonly readStack: () => Stack } & RunSettings);
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly stage: string;
  /** Default: `apiId` of the routes file, or a random one. */
  readonly apiId: string | undefined;
  /** Allowed page origins, besides this machine's and the server's own. */
  readonly allowedOrigins: readonly string[];
  /** Allowed names in the `Host` header on loopback, besides loopback names. */
  readonly allowedHosts: readonly string[];
  /** The handler at `/tickets`. */
  readonly tickets: Reference | undefined;
  readonly watch: boolean;
  readonly http: Reference | undefined;
}

/** A running `lift-ws dev` or `lift-ws local`. */
interface DevServer {
  /** Stops gracefully. */
  close(): Promise<void>;
}

/** The app that handles the events, and its description for the start message. */
interface AppSource {
  readonly loaded: LoadedApp;
  readonly name: string;
  /** Lines of the start message, each a label and a text. */
  readonly notes: readonly (readonly [string, string])[];
  /** Options of the gateway that come with the app. */
  readonly gateway?: RunningStack["gateway"];
  onEvent?(report: EventReport): void;
  watch?(host: DevHost): SaveWatcher;
  close(): Promise<void>;
}

/** Loads an app and serves it until the process should stop, also if that is before it has started. @throws {CliError} */
export async function serveUntilStopped(settings: ServerSettings, terminal: Terminal): Promise<void> {
  const failed = new AbortController();
  const stopped = waitForStop((line) => terminal.stderr.write(`${line}\n`), failed.signal);
  try {
    const server = await startServer(settings, terminal);
    await stopped;
    await server.close();
  } catch (error) {
    failed.abort();
    throw error;
  }
}

/** @throws {CliError} */
async function startServer(settings: ServerSettings, terminal: Terminal): Promise<DevServer> {
  const { host, stage } = settings;
  const region = readRegion();
  // The functions of a stack have key pairs of their own.
  const credentials = settings.run.kind === "stack" ? undefined : requireCredentials(host);
  const port = await findPort(settings.port, host);
  const tls = await developmentCertificate(host);
  trustCertificate(tls.cert);
  const apiId = settings.apiId ?? (await readRoutesApiId(settings.run)) ?? createApiId();
  const apiHosts = toApiHosts({ host, port }, apiId, region);
  const api = { endpoint: toEndpoint(host, port, stage), host, region, credentials, apiHosts };
  // Redirect before handlers are loaded, because a module may keep a reference to `connect`.
  redirectApiHosts(apiHosts);
  const source = await openSource(settings, api, terminal);
  const logReport = createEventLog(terminal);
  try {
    const running = createHost(
      source.loaded,
      {
        stage,
        region,
        apiId,
        domainName: toDomainName({ host, port }),
        tls,
        ...(credentials && { credentials }),
        ...source.gateway,
        ...(settings.http && { http: await loadHttpListener(settings.http, settings, port) }),
        ownOrigins: true,
        allowedOrigins: settings.allowedOrigins,
        allowedHosts: settings.allowedHosts,
        onRefused: createRefusalLogger((line) => terminal.stderr.write(`${line}\n`), HOW_TO_ALLOW),
        onEvent(report) {
          logReport(report);
          source.onEvent?.(report);
        },
      },
      (error) => logError(error, terminal.stderr),
    );
    await listen(running.gateway, port, host);
    const watcher = settings.watch ? source.watch?.(running) : undefined;
    // Lambda would end one instance of the function. Here all sockets are in this process, so it stays alive.
    process.on("uncaughtException", (error) => logError(error, terminal.stderr));
    printStart(running, source, settings, terminal);
    return {
      async close() {
        watcher?.close();
        await running.gateway.close({ spreadMs: 0 });
        await running.stop();
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
  if (run.kind === "stack") {
    const { app: loaded, replace, ...running } = await runStack(run.stack, run, api, terminal);
    let { stack } = run;
    const reload = async () => {
      try {
        const changed = run.readStack();
        replace(changed);
        stack = changed;
        logNote("Reloaded", terminal);
        return true;
      } catch (error) {
        logFailure(error, terminal.stderr);
        logNote("The previous functions stay in use", terminal);
        return false;
      }
    };
    const watch = () => new SaveWatcher(() => stack.files, reload);
    return { ...running, loaded, name: displayPath(run.stack.template.file), watch };
  }
  const handler = displayPath(run.kind === "module" ? run.reference.file : run.path);
  setLambdaEnvironment(process.env, { endpoint: api.endpoint, region: api.region, handler });
  setDefaults(process.env, await developmentEnvironment(api.host));
  const loader = new AppLoader(run, tickets, terminal);
  return {
    loaded: await loader.load(),
    name: handler,
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
    app: loaded,
    functionNames,
    dynamoDBEndpoint,
    tables,
    close,
  } = await startLambdaEnvironment(settings, api, terminal);
  return {
    loaded,
    name: displayPath(settings.folder),
    notes: [
      ["Functions", functionNames.join("  ")],
      ["DynamoDB", `${dynamoDBEndpoint}  (${tables.join("  ")})`],
    ],
    close,
  };
}

async function readRoutesApiId(run: ServerSettings["run"]): Promise<string | undefined> {
  if (run.kind === "module") return undefined;
  if (run.kind === "stack") return run.stack.api.ref;
  const path = run.kind === "routes" ? run.path : join(run.folder, "routes.json");
  return run.kind === "routes" || existsSync(path) ? (await readRoutesFile(path)).apiId : undefined;
}

/** Loads the listener for other requests. It finds the server's HOST, PORT and STAGE in the environment. */
function loadHttpListener(
  reference: Reference,
  { host, stage }: ServerSettings,
  port: number,
): Promise<RequestListener> {
  process.env.HOST = host;
  process.env.PORT = String(port);
  process.env.STAGE = stage;
  return loadListener(reference);
}

/** @throws {CliError} FAILED when other machines can reach the host and the environment has no key pair */
function requireCredentials(host: string): Credentials | undefined {
  if (isLoopback(host)) return undefined;
  const credentials = readCredentials(process.env);
  if (credentials !== undefined) return credentials;
  throw new CliError(
    "FAILED",
    `Other machines can reach ${host}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to protect @connections, or set --host 127.0.0.1`,
  );
}

function createHost(...parts: ConstructorParameters<typeof DevHost>): DevHost {
  try {
    return new DevHost(...parts);
  } catch (error) {
    if (error instanceof GatewayError) throw new CliError("USAGE", `Invalid API: ${error.message}`);
    throw error;
  }
}

function printStart(host: DevHost, source: AppSource, settings: ServerSettings, terminal: Terminal): void {
  const { gateway } = host;
  const stream = terminal.stdout;
  const line = (name: string, text: string) => `${styleText("dim", name.padEnd(14), { stream })}${text}`;
  const routes = host.routeKeys.join("  ") || `all → ${source.name}`;
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
      ...(settings.watch ? [line("Watching", "reloaded after a save; sockets stay open")] : []),
      "",
      "",
    ].join("\n"),
  );
}

/** Returns the URL with TLS, on the same port. */
function toSecureUrl(gateway: Gateway): string {
  return gateway.url.replace("ws:", "wss:");
}
