import type { LambdaHandler } from "../apigw/index.ts";
import {
  anyFunction,
  arrayOf,
  atLeast,
  boolean,
  findOptionFault,
  isRecord,
  type OptionCheck,
  type OptionChecks,
  record,
  text,
} from "../internal/options.ts";
import { isOrigin } from "../internal/origin.ts";
import { systemClock, toSteadyClock } from "./clock.ts";
import { GatewayError } from "./errors.ts";
import { DEFAULT_LIMITS, type GatewayLimits, type GatewayOptions, type GatewaySettings } from "./options.ts";
import { createApiId } from "./sockets/ids.ts";
import { guardListener } from "./unhandled-errors.ts";
import { isIdentitySource } from "./upgrade/authorizer.ts";
import { parseHostname } from "./upgrade/browser-access.ts";

const hasTexts = (value: unknown, ...names: readonly string[]) =>
  isRecord(value) && names.every((name) => text.test(value[name]));
const isKeyPair = (value: unknown) => hasTexts(value, "accessKeyId", "secretAccessKey");

/** `readOptions` checks what depends on more than one value, such as the number of routes. */
const CHECKS: OptionChecks<GatewayOptions> = {
  handler: anyFunction,
  routes: record,
  authorizer: anyFunction,
  identitySources: arrayOf(
    isIdentitySource,
    "an array of route.request.header.Name, route.request.querystring.name, context.name and stageVariables.name",
  ),
  routeSelectionExpression: text,
  routeResponses: arrayOf(text.test, "an array of strings"),
  stage: {
    test: (value) => typeof value === "string" && /^([a-zA-Z0-9_-]{1,128}|\$default)$/.test(value),
    expected: "1 to 128 letters, digits, _ and -, or $default",
  },
  basePath: {
    test: (value) => typeof value === "string" && /^[a-zA-Z0-9$_.+!*'()-]{1,300}$/.test(value),
    expected: "one path segment of at most 300 characters",
  },
  stageVariables: {
    test: (value) => isRecord(value) && Object.values(value).every((each) => typeof each === "string"),
    expected: "an object of strings",
  },
  apiId: text,
  region: text,
  accountId: text,
  domainName: text,
  limits: record,
  clock: {
    test: (value) =>
      isRecord(value) &&
      [value.now, value.setTimeout].every((method) => typeof method === "function") &&
      ["function", "undefined"].includes(typeof value.elapsed),
    expected: "an object with now(), setTimeout() and optionally elapsed()",
  },
  credentials: {
    test: (value) => (Array.isArray(value) ? value.length > 0 && value.every(isKeyPair) : isKeyPair(value)),
    expected: "an accessKeyId with a secretAccessKey, or a non-empty array of such pairs",
  },
  authorizeCall: anyFunction,
  trustProxy: boolean,
  allowedOrigins: arrayOf(
    (item) => item === "*" || isOrigin(item),
    "an array of origins, such as https://app.example, or *",
  ),
  ownOrigins: boolean,
  allowedHosts: arrayOf(
    (item) => typeof item === "string" && parseHostname(item) === item.toLowerCase(),
    "an array of host names without a port, such as app.example",
  ),
  onRefused: anyFunction,
  pingResetsIdle: boolean,
  deleteCloseCode: { test: isSendableCode, expected: "1000 to 1003, 1007 to 1014 or 3000 to 4999" },
  tls: {
    test: (value) => hasTexts(value, "key", "cert"),
    expected: "an object with a key and a cert, each a non-empty string",
  },
  http: anyFunction,
  onEvent: anyFunction,
  everySecond: anyFunction,
};

const LIMIT_CHECKS = Object.fromEntries(
  Object.keys(DEFAULT_LIMITS).map((name) => [name, atLeast(name === "slowClientMs" ? 0 : 1)]),
) as { readonly [Name in keyof GatewayLimits]: OptionCheck };

/** The gateway's health check has this path. */
const RESERVED_SEGMENT = "healthz";

/**
 * Checks the options and adds their defaults.
 * @throws {GatewayError} INVALID_OPTION; the message names the option
 */
export function readOptions(options: GatewayOptions): GatewaySettings {
  const fault =
    findOptionFault(options, CHECKS) ??
    (options.limits && findOptionFault(options.limits, LIMIT_CHECKS, { prefix: "limits." }));
  if (fault !== undefined) throw invalid(fault);
  const given = Object.entries(options.limits ?? {}).filter(([, limit]) => limit !== undefined);
  const limits: GatewayLimits = { ...DEFAULT_LIMITS, ...Object.fromEntries(given) };
  const stage = options.stage ?? "dev";
  const basePath = options.basePath ?? stage;
  if (basePath === RESERVED_SEGMENT) {
    throw invalid("`basePath` must not be healthz, because the gateway answers /healthz itself");
  }
  return {
    routes: readRoutes(options, limits.routes),
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
    authorizeCall: options.authorizeCall,
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
    throw invalid("Give exactly one of `handler` and `routes`");
  }
  const { routes = {} } = options;
  const map: ReadonlyMap<string, LambdaHandler> =
    routes instanceof Map ? routes : new Map(Object.entries(routes));
  for (const [key, handler] of map) {
    if (typeof handler !== "function") {
      throw invalid(`\`routes\` must have a function for ${JSON.stringify(key)}`);
    }
  }
  if (map.size > maxRoutes) throw invalid(`\`routes\` has ${map.size} routes; the limit is ${maxRoutes}`);
  return map;
}

/** Close frames may carry these codes: https://www.rfc-editor.org/rfc/rfc6455#section-7.4 */
function isSendableCode(code: unknown): boolean {
  if (typeof code !== "number" || !Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

function invalid(message: string): GatewayError {
  return new GatewayError("INVALID_OPTION", message);
}
