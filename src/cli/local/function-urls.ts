import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { parseHostname } from "../../gateway/index.ts";
import { isLoopback } from "../../internal/this-machine.ts";
import type { ResolvedResource, ValueMap } from "../../lambda-emulator/index.ts";
import { serveFunctionUrl } from "../project/function-url.ts";
import { functionNameOf, type StackFunctions } from "./functions.ts";
import { missingForUrl } from "./permissions.ts";
import { mapsOf, textOf } from "./properties.ts";
import type { Stack } from "./stack.ts";

/** Where function URLs are served. */
export interface FunctionUrlOptions {
  readonly host: string;
  /** The first port to try. The others follow; one that is taken becomes a random one. */
  readonly port: number;
  readonly onError: (error: unknown) => void;
}

/** Function URLs that are served. */
export interface FunctionUrls {
  /** The address of each, by its logical id. */
  readonly urls: ReadonlyMap<string, string>;
  stop(): Promise<void>;
}

/** Serves the function URLs of a stack, each on a port of its own, because a function reads the whole path. */
export async function serveFunctionUrls(
  stack: Stack,
  functions: StackFunctions,
  { host, port, onError }: FunctionUrlOptions,
): Promise<FunctionUrls> {
  const servers: Server[] = [];
  const urls = new Map<string, string>();
  for (const resource of stack.ofType("AWS::Lambda::Url")) {
    const name = functionNameOf(textOf(resource.properties, "TargetFunctionArn") ?? "");
    const reason = refusalOf(resource, functions.find(name) !== undefined);
    if (reason !== undefined) {
      stack.skip(resource.logicalId, reason);
      continue;
    }
    const server = createServer((request, response) => {
      handle(request, response, resource, name).catch((error) => {
        if (response.headersSent) response.destroy();
        else response.writeHead(502, { "content-type": "text/plain" }).end("Internal Server Error");
        onError(error);
      });
    });
    servers.push(server);
    const address = await listen(server, port + urls.size, host);
    urls.set(resource.logicalId, `http://${host.includes(":") ? `[${host}]` : host}:${address}/`);
  }
  return {
    urls,
    async stop() {
      for (const server of servers) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };

  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    { logicalId, properties }: ResolvedResource,
    name: string,
  ): Promise<void> {
    // Against DNS rebinding, as the gateway does.
    if (isLoopback(host) && !isLoopback(parseHostname(request.headers.host ?? "") ?? "")) {
      return forbid(response, "The Host of a function URL on loopback must be a loopback name");
    }
    const [cors] = mapsOf(properties.Cors);
    const headers = cors === undefined ? {} : corsHeaders(cors, request);
    const asksFirst =
      request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    if (cors !== undefined && asksFirst) {
      return void response.writeHead(200, headers).end();
    }
    const missing = missingForUrl(stack, name);
    if (missing.length > 0) {
      onError(
        `Refused a call of \`${name}\` by the function URL \`${logicalId}\`: add an AWS::Lambda::Permission with the principal \`*\` for ${missing.join(" and another for ")}`,
      );
      return forbid(response, "Forbidden");
    }
    await serveFunctionUrl((event) => functions.invoke(name, event), request, response, headers);
  }
}

/** Returns why a function URL is not served. */
function refusalOf({ properties }: ResolvedResource, runs: boolean): string | undefined {
  if (!runs) return "a function URL of a function that does not run";
  if (textOf(properties, "AuthType") !== "NONE") {
    return `a function URL with the AuthType ${textOf(properties, "AuthType")}, whose callers are not checked here`;
  }
  const mode = textOf(properties, "InvokeMode") ?? "BUFFERED";
  return mode === "BUFFERED" ? undefined : `a function URL with the InvokeMode ${mode}`;
}

function forbid(response: ServerResponse, message: string): void {
  response.writeHead(403, { "content-type": "application/json" }).end(JSON.stringify({ Message: message }));
}

/** Returns the headers that Lambda adds for a page of an allowed origin. */
function corsHeaders(cors: ValueMap, { headers }: IncomingMessage): { [name: string]: string } {
  const list = (name: string) => ([cors[name] ?? []].flat() as unknown[]).map(String);
  const origins = list("AllowOrigins");
  const { origin } = headers;
  if (origin === undefined || !(origins.includes("*") || origins.includes(origin))) return {};
  const found: { [name: string]: string } = {
    "access-control-allow-origin": origins.includes("*") ? "*" : origin,
    vary: "Origin",
  };
  if (textOf(cors, "AllowCredentials") === "true") found["access-control-allow-credentials"] = "true";
  const names = {
    AllowMethods: "allow-methods",
    AllowHeaders: "allow-headers",
    ExposeHeaders: "expose-headers",
  };
  for (const [property, header] of Object.entries(names)) {
    if (list(property).length > 0) found[`access-control-${header}`] = list(property).join(",");
  }
  const age = textOf(cors, "MaxAge");
  if (age !== undefined) found["access-control-max-age"] = age;
  return found;
}

/** Listens on a port, or on a free one if it is taken. @returns the port */
async function listen(server: Server, port: number, host: string): Promise<number> {
  const open = (at: number) =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(at, host, () => {
        server.off("error", reject);
        resolve();
      });
    });
  await open(port).catch(() => {
    server.removeAllListeners("error");
    return open(0);
  });
  return (server.address() as AddressInfo).port;
}
