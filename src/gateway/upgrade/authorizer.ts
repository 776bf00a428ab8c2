import type {
  AuthorizerContext,
  AuthorizerEvent,
  PolicyDocument,
  PolicyStatement,
} from "../../apigw/index.ts";
import type { Outcome } from "../messages/invoke.ts";

/** The decision of an authorizer about an upgrade. */
export type AuthDecision =
  | { readonly allowed: true; readonly context: AuthorizerContext }
  | { readonly allowed: false; readonly status: 401 | 403 | 500; readonly error?: unknown };

const IDENTITY_SOURCE =
  /^\$?(route\.request\.header|route\.request\.querystring|context|stageVariables)\.(.+)$/;

export function isIdentitySource(source: unknown): boolean {
  return typeof source === "string" && IDENTITY_SOURCE.test(source);
}

/** Returns whether a request has every identity source. Without one it is refused with 401, and no authorizer is called. */
export function hasIdentity(sources: readonly string[], event: AuthorizerEvent): boolean {
  return sources.every((source) => {
    const value = findIdentityValue(source, event);
    return value !== undefined && value !== "";
  });
}

function findIdentityValue(source: string, event: AuthorizerEvent): unknown {
  const [, kind, name = ""] = IDENTITY_SOURCE.exec(source) ?? [];
  switch (kind) {
    case "route.request.header":
      return Object.entries(event.headers).find(
        ([header]) => header.toLowerCase() === name.toLowerCase(),
      )?.[1];
    case "route.request.querystring":
      return ownProperty(event.queryStringParameters, name);
    case "context":
      return name.split(".").reduce<unknown>(ownProperty, event.requestContext);
    case "stageVariables":
      return ownProperty(event.stageVariables, name);
    default:
      return undefined;
  }
}

function ownProperty(object: unknown, name: string): unknown {
  if (typeof object !== "object" || object === null || !Object.hasOwn(object, name)) return undefined;
  return (object as Record<string, unknown>)[name];
}

/**
 * Evaluates an authorizer's outcome. Only a valid policy that allows the method allows the upgrade.
 * @param arn the method's ARN
 * @param maxBytes limit of the result as JSON
 * @param latencyMs duration of the authorizer, for its context
 */
export function evaluatePolicy(
  outcome: Outcome,
  arn: string,
  maxBytes: number,
  latencyMs: number,
): AuthDecision {
  if (outcome.kind === "timed out")
    return { allowed: false, status: 500, error: new Error("The authorizer timed out") };
  if (outcome.kind === "failed") {
    const message = outcome.error instanceof Error ? outcome.error.message : outcome.error;
    return message === "Unauthorized"
      ? { allowed: false, status: 401 }
      : { allowed: false, status: 500, error: outcome.error };
  }
  let result: AuthorizerResult;
  try {
    result = parseAuthorizerResult(outcome.value, maxBytes);
  } catch (error) {
    return { allowed: false, status: 500, error };
  }
  const { principalId, policyDocument, context } = result;
  if (!isAllowed(policyDocument, arn)) return { allowed: false, status: 403 };
  const strings = Object.entries(context ?? {}).map(([name, value]) => [name, String(value)]);
  return {
    allowed: true,
    context: {
      ...Object.fromEntries(strings),
      principalId,
      integrationLatency: latencyMs,
    } as AuthorizerContext,
  };
}

interface AuthorizerResult {
  readonly principalId: string;
  readonly policyDocument: PolicyDocument;
  readonly context?: { readonly [name: string]: string | number | boolean | null } | null;
}

/**
 * Parses an authorizer's result the way Lambda does, as JSON: undefined fields are dropped, a Date becomes a string, NaN
 * becomes `null`.
 * @throws {TypeError} with the fault
 */
function parseAuthorizerResult(value: unknown, maxBytes: number): AuthorizerResult {
  const json = toJson(value);
  if (Buffer.byteLength(json) > maxBytes) throw invalidResult(`is larger than ${maxBytes} bytes`);
  const result = JSON.parse(json) as AuthorizerResult;
  const fault = findResultFault(result);
  if (fault !== undefined) throw invalidResult(fault);
  return result;
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (cause) {
    throw invalidResult("cannot be serialized as JSON", cause);
  }
}

function findResultFault(result: unknown): string | undefined {
  if (!isObject(result)) return "is not an object";
  const { principalId, policyDocument, context } = result;
  if (typeof principalId !== "string" || principalId === "") return "has no principalId";
  if (!isPolicy(policyDocument)) return "has no policyDocument with statements";
  if (context === undefined || context === null) return undefined;
  if (!isObject(context)) return "has a context that is not an object";
  const nested = Object.entries(context).find(([, value]) => typeof value === "object" && value !== null);
  return nested && `has a context value that is not a scalar: ${nested[0]}`;
}

function isObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalidResult(fault: string, cause?: unknown): TypeError {
  const message = `The authorizer's result ${fault}`;
  return new TypeError(message, cause === undefined ? undefined : { cause });
}

function isPolicy(value: unknown): value is PolicyDocument {
  if (typeof value !== "object" || value === null || !("Statement" in value)) return false;
  return [value.Statement].flat().every(isStatement);
}

function isStatement(value: unknown): value is PolicyStatement {
  if (typeof value !== "object" || value === null) return false;
  const { Effect, Action, Resource } = value as Record<string, unknown>;
  return (Effect === "Allow" || Effect === "Deny") && isStrings(Action) && isStrings(Resource);
}

function isStrings(value: unknown): value is string | readonly string[] {
  return [value].flat().every((each) => typeof each === "string");
}

/** Applies IAM's rules: an explicit Deny wins, and a method without an Allow is denied. */
function isAllowed(policy: PolicyDocument, arn: string): boolean {
  const statements = [policy.Statement]
    .flat()
    .filter((statement: PolicyStatement) => appliesTo(statement, arn));
  return (
    statements.some(({ Effect }) => Effect === "Allow") && !statements.some(({ Effect }) => Effect === "Deny")
  );
}

function appliesTo({ Action, Resource }: PolicyStatement, arn: string): boolean {
  return (
    [Action].flat().some((pattern) => matchesPattern(pattern.toLowerCase(), "execute-api:invoke")) &&
    [Resource].flat().some((pattern) => matchesPattern(pattern, arn))
  );
}

/** Matches `*` to any characters and `?` to one. Two cursors and no regular expression, because patterns are input. */
function matchesPattern(pattern: string, text: string): boolean {
  let p = 0;
  let star = -1;
  let resume = 0;
  for (let t = 0; t < text.length; ) {
    if (pattern[p] === "*") {
      star = p++;
      resume = t;
    } else if (pattern[p] === "?" || pattern[p] === text[t]) {
      p++;
      t++;
    } else if (star !== -1) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
