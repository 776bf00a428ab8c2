import type { LambdaHandler } from "../apigw/index.ts";
import { isOrigin } from "../internal/origin.ts";
import { systemClock, toSteadyClock } from "./clock.ts";
import { GatewayError } from "./errors.ts";
import { DEFAULT_LIMITS, type GatewayLimits, type GatewayOptions, type GatewaySettings } from "./options.ts";
import { createApiId } from "./sockets/ids.ts";
import { guardListener } from "./unhandled-errors.ts";
import { isIdentitySource } from "./upgrade/authorizer.ts";
import { parseHostname } from "./upgrade/browser-access.ts";

interface Check {
  readonly test: (value: unknown) => boolean;
  /** What the option takes, for who gave something else. */
  readonly takes: string;
}

const isText = (value: unknown) => typeof value === "string" && value !== "";
const isList = (test: (item: unknown) => boolean) => (value: unknown) =>
  Array.isArray(value) && value.every(test);
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const hasText = (value: unknown, ...names: readonly string[]) =>
  isRecord(value) && names.every((name) => isText(value[name]));
const isKeyPair = (value: unknown) => hasText(value, "accessKeyId", "secretAccessKey");

const TEXT: Check = { test: isText, takes: "a string that is not empty" };
const TEXTS: Check = { test: isList(isText), takes: "an array of strings" };
const FLAG: Check = { test: (value) => typeof value === "boolean", takes: "true or false" };
const FUNCTION: Check = { test: (value) => typeof value === "function", takes: "a function" };
const RECORD: Check = { test: isRecord, takes: "an object" };

/** Every option; what more there is to its text or numbers, its reader says. */
const CHECKS: { readonly [Name in keyof Required<GatewayOptions>]: Check } = {
  handler: FUNCTION,
  routes: RECORD,
  authorizer: FUNCTION,
  identitySources: {
    test: isList(isIdentitySource),
    takes:
      "an array of route.request.header.Name, route.request.querystring.name, context.name and stageVariables.name",
  },
  routeSelectionExpression: TEXT,
  routeResponses: TEXTS,
  stage: TEXT,
  basePath: TEXT,
  stageVariables: {
    test: (value) => isRecord(value) && Object.values(value).every((one) => typeof one === "string"),
    takes: "an object of strings",
  },
  apiId: TEXT,
  region: TEXT,
  accountId: TEXT,
  domainName: TEXT,
  limits: RECORD,
  clock: {
    test: (value) =>
      isRecord(value) &&
      [value.now, value.setTimeout].every((one) => typeof one === "function") &&
      ["function", "undefined"].includes(typeof value.elapsed),
    takes: "an object with now() and setTimeout(), and elapsed() if it tells elapsed time",
  },
  credentials: {
    test: (value) => (Array.isArray(value) ? value.length > 0 && value.every(isKeyPair) : isKeyPair(value)),
    takes: "an accessKeyId and a secretAccessKey, or an array of such pairs that is not empty",
  },
  trustProxy: FLAG,
  allowedOrigins: {
    test: isList((item) => item === "*" || isOrigin(item)),
    takes: "an array of origins, such as https://app.example, or *",
  },
  ownOrigins: FLAG,
  allowedHosts: {
    test: isList((item) => typeof item === "string" && parseHostname(item) === item.toLowerCase()),
    takes: "an array of host names without a port, such as app.example",
  },
  onRefused: FUNCTION,
  pingResetsIdle: FLAG,
  deleteCloseCode: { test: isSendableCode, takes: "1000 to 1003, 1007 to 1014 or 3000 to 4999" },
  tls: { test: (value) => hasText(value, "key", "cert"), takes: "a key and a cert, each a string" },
  http: FUNCTION,
  onEvent: FUNCTION,
  everySecond: FUNCTION,
};

/** @throws {GatewayError} INVALID_OPTION, naming the option */
export function checkOptions(options: GatewayOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(CHECKS, name)) throw invalid(name, "is no option of createGateway");
    const { test, takes } = CHECKS[name as keyof GatewayOptions];
    if (value !== undefined && !test(value)) throw invalid(name, `takes ${takes}`);
  }
}

/** RFC 6455, section 7.4: the codes that a close frame may carry. */
function isSendableCode(code: unknown): boolean {
  if (typeof code !== "number" || !Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

export function invalid(name: string, what: string): GatewayError {
  return new GatewayError("INVALID_OPTION", `${name} ${what}`);
}

const RESERVED_SEGMENT = "healthz";

/** @throws {GatewayError} INVALID_OPTION, naming the option */
export function readOptions(options: GatewayOptions): GatewaySettings {
  checkOptions(options);
  const limits = readLimits(options.limits);
  const routes = readRoutes(options, limits.routes);
  const stage = options.stage ?? "dev";
  if (!/^([a-zA-Z0-9_-]{1,128}|\$default)$/.test(stage))
    throw invalid("stage", "takes letters, digits, _ and -");
  const basePath = options.basePath ?? stage;
  if (!/^[a-zA-Z0-9$_.+!*'()-]{1,300}$/.test(basePath)) throw invalid("basePath", "takes one path segment");
  if (basePath === RESERVED_SEGMENT)
    throw invalid("basePath", "can't be healthz: that path is the gateway's own");
  return {
    routes,
    handler: options.handler,
    authorizer: options.authorizer,
    identitySources: options.identitySources ?? [],
    routeSelectionExpression: options.routeSelectionExpression ?? "$request.body.action",
    routeResponses: new Set(options.routeResponses),
    stage,
    basePath,
    stageVariables: options.stageVariables,
    apiId: options.apiId ?? createApiId(),
    region: options.region ?? "us-east-1",
    accountId: options.accountId ?? "000000000000",
    domainName: options.domainName,
    limits,
    clock: options.clock === undefined ? systemClock : toSteadyClock(options.clock),
    credentials: options.credentials === undefined ? [] : [options.credentials].flat(),
    trustProxy: options.trustProxy ?? false,
    allowedOrigins: options.allowedOrigins && new Set(options.allowedOrigins),
    ownOrigins: options.ownOrigins ?? false,
    allowedHosts: options.allowedHosts && new Set(options.allowedHosts.map((host) => host.toLowerCase())),
    onRefused: options.onRefused && guardListener(options.onRefused),
    pingResetsIdle: options.pingResetsIdle ?? false,
    deleteCloseCode: options.deleteCloseCode ?? 1000,
    tls: options.tls,
    http: options.http,
    onEvent: options.onEvent && guardListener(options.onEvent),
    everySecond: options.everySecond,
  };
}

function readRoutes(options: GatewayOptions, maxRoutes: number): ReadonlyMap<string, LambdaHandler> {
  if ((options.handler === undefined) === (options.routes === undefined)) {
    throw invalid("handler", "and routes: give exactly one of the two");
  }
  const { routes = {} } = options;
  const map: ReadonlyMap<string, LambdaHandler> =
    routes instanceof Map ? routes : new Map(Object.entries(routes));
  for (const [key, handler] of map) {
    if (typeof handler !== "function") throw invalid("routes", `has no function for ${JSON.stringify(key)}`);
  }
  if (map.size > maxRoutes) throw invalid("routes", `has ${map.size} routes; the limit is ${maxRoutes}`);
  return map;
}

function readLimits(limits: Partial<GatewayLimits> = {}): GatewayLimits {
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) throw invalid(`limits.${name}`, "is no limit");
    const minimum = name === "slowClientMs" ? 0 : 1;
    if (typeof value !== "number" || Number.isNaN(value) || value < minimum) {
      throw invalid(`limits.${name}`, `takes a number of at least ${minimum}, or Infinity`);
    }
  }
  return { ...DEFAULT_LIMITS, ...limits };
}
