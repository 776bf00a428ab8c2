import { isOrigin } from "../internal/origin.ts";
import { GatewayError } from "./errors.ts";
import type { GatewayOptions } from "./options.ts";
import { isIdentitySource } from "./upgrade/authorizer.ts";
import { hostname } from "./upgrade/browser-access.ts";

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
    test: isList((item) => typeof item === "string" && hostname(item) === item.toLowerCase()),
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
