import type {
  AuthorizerContext,
  AuthorizerEvent,
  PolicyDocument,
  PolicyStatement,
} from "../../apigw/index.ts";
import type { Outcome } from "../messages/invoke.ts";

/** What an authorizer's outcome means for the upgrade. */
export type AuthDecision =
  | { readonly allowed: true; readonly context: AuthorizerContext }
  | { readonly allowed: false; readonly status: 401 | 403 | 500; readonly error?: unknown };

const IDENTITY_SOURCE =
  /^\$?(route\.request\.header|route\.request\.querystring|context|stageVariables)\.(.+)$/;

export function isIdentitySource(source: unknown): boolean {
  return typeof source === "string" && IDENTITY_SOURCE.test(source);
}

/** Whether a request carries every identity source. If not it is refused with 401, and nobody is asked. */
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

/** Reads an authorizer's answer, as JSON. Anything but a well-formed policy that allows is a refusal. */
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
  let answer: AuthorizerResult;
  try {
    answer = parseAuthorizerResult(outcome.value, maxBytes);
  } catch (error) {
    return { allowed: false, status: 500, error };
  }
  const { principalId, policyDocument, context } = answer;
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
 * Treats an answer as Lambda does: fields without a value are dropped, a Date becomes text, NaN `null`.
 * @throws {TypeError} saying what is wrong
 */
function parseAuthorizerResult(value: unknown, maxBytes: number): AuthorizerResult {
  const json = toJson(value);
  if (Buffer.byteLength(json) > maxBytes) throw invalidResult(`is over ${maxBytes} bytes`);
  const answer = JSON.parse(json) as AuthorizerResult;
  const problem = findResultFault(answer);
  if (problem !== undefined) throw invalidResult(problem);
  return answer;
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (cause) {
    throw invalidResult("can't be written as JSON", cause);
  }
}

function findResultFault(answer: unknown): string | undefined {
  if (!isObject(answer)) return "is not an object";
  const { principalId, policyDocument, context } = answer;
  if (typeof principalId !== "string" || principalId === "") return "has no principalId";
  if (!isPolicy(policyDocument)) return "has no policyDocument with statements";
  if (context === undefined || context === null) return undefined;
  if (!isObject(context)) return "has a context that is not an object";
  const nested = Object.entries(context).find(([, one]) => typeof one === "object" && one !== null);
  return nested && `has a context value that is not a scalar: ${nested[0]}`;
}

function isObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalidResult(problem: string, cause?: unknown): TypeError {
  const message = `The authorizer's answer ${problem}`;
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
  return [value].flat().every((one) => typeof one === "string");
}

/** IAM's rule: an explicit Deny wins, and what nothing allows is denied. */
function isAllowed(policy: PolicyDocument, arn: string): boolean {
  const statements = [policy.Statement].flat().filter((one: PolicyStatement) => appliesTo(one, arn));
  return statements.some((one) => one.Effect === "Allow") && !statements.some((one) => one.Effect === "Deny");
}

function appliesTo({ Action, Resource }: PolicyStatement, arn: string): boolean {
  return (
    [Action].flat().some((pattern) => matchesPattern(pattern.toLowerCase(), "execute-api:invoke")) &&
    [Resource].flat().some((pattern) => matchesPattern(pattern, arn))
  );
}

/** `*` stands for any run of characters, `?` for one. Two cursors, no regular expression: patterns are input. */
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
