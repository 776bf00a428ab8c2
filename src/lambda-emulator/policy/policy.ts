import { isRecord } from "../../internal/options.ts";
import { TemplateError, type TemplatePlace } from "../errors.ts";
import { NOT_RUN } from "../template/resolve-template.ts";
import { type PolicyCondition, type PolicyContext, parseConditions } from "./condition.ts";
import { matchesResource, matchesWildcards } from "./wildcards.ts";

/** An identity-based policy: one of a role. The principal is the role. */
export interface Policy {
  readonly name: string;
  readonly statements: readonly Statement[];
}

export interface Statement {
  /** Its `Sid`, or its number from 1. */
  readonly name: string;
  readonly effect: "Allow" | "Deny";
  readonly matchesAction: (action: string) => boolean;
  readonly matchesResource: (arn: string) => boolean;
  readonly conditions: readonly PolicyCondition[];
}

/** A call that a service authorizes. */
export interface AccessRequest {
  /** Such as `dynamodb:PutItem`. */
  readonly action: string;
  /** An ARN, or `*` for an action that has no resource. */
  readonly resource: string;
  /** Default none. */
  readonly context?: PolicyContext;
}

/** `explicit` means that a statement denies the request, instead of no statement allowing it. */
export type AccessDecision =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly explicit: boolean; readonly reason: string };

/**
 * Decides like IAM: a statement that denies wins, otherwise one must allow. A statement whose condition cannot be evaluated
 * allows nothing, and denies what it denies.
 */
export function isAllowed(policies: readonly Policy[], request: AccessRequest): AccessDecision {
  const { action, resource } = request;
  const notes: string[] = [];
  let allowed = false;
  for (const policy of policies) {
    for (const statement of policy.statements) {
      if (!statement.matchesAction(action) || !statement.matchesResource(resource)) continue;
      const unknown = statement.conditions.find(({ key }) => valuesOf(key, request) === undefined);
      const known = statement.conditions.filter(({ key }) => valuesOf(key, request) !== undefined);
      if (!known.every(({ key, holds }) => holds(valuesOf(key, request)!))) continue;
      const where = `statement ${statement.name} of ${policy.name}`;
      if (unknown !== undefined)
        notes.push(`the key ${unknown.key} in ${where} has no value on this machine`);
      if (statement.effect === "Deny") {
        const reason = [`with an explicit deny in an identity-based policy: ${where}`, ...notes].join("; ");
        return { allowed: false, explicit: true, reason };
      }
      allowed ||= unknown === undefined;
    }
  }
  if (allowed) return { allowed };
  const reason = [`because no identity-based policy allows the ${action} action on ${resource}`, ...notes];
  return { allowed, explicit: false, reason: reason.join("; ") };
}

/** Returns `undefined` if the key's value is not known. */
function valuesOf(key: string, { action, context = {} }: AccessRequest): readonly string[] | undefined {
  const name = Object.keys(context).find((each) => each.toLowerCase() === key);
  if (name !== undefined) return [context[name]!].flat();
  const service = key.split(":", 1)[0];
  // A request to one service has no keys of another.
  return service === "aws" || service === action.split(":", 1)[0]?.toLowerCase() ? undefined : [];
}

/**
 * Parses a policy document of a role. Policies of resources, which have principals, are not supported.
 * @throws {TemplateError} POLICY_INVALID for a statement that cannot be evaluated
 */
export function parsePolicy(document: unknown, name: string, place: TemplatePlace): Policy {
  const fail = (message: string) => new TemplateError("POLICY_INVALID", `Policy ${name}: ${message}`, place);
  if (!isRecord(document)) throw fail("The document must be a map");
  const unknown = Object.keys(document).find((key) => !["Id", "Statement", "Version"].includes(key));
  if (unknown !== undefined) throw fail(`Unknown element \`${unknown}\``);
  const { Version: version = "2008-10-17", Statement: statements } = document;
  if (version !== "2012-10-17" && version !== "2008-10-17") throw fail("`Version` must be 2012-10-17");
  const list = Array.isArray(statements) ? statements : [statements];
  const parsed = list.map((statement, index) => {
    const sid =
      isRecord(statement) && typeof statement.Sid === "string" && statement.Sid !== ""
        ? statement.Sid
        : undefined;
    const statementName = sid ?? String(index + 1);
    const failStatement: Fail = (message) => fail(`Statement ${statementName}: ${message}`);
    return parseStatement(statement, statementName, version === "2012-10-17", failStatement);
  });
  return { name, statements: parsed };
}

type Fail = (message: string) => TemplateError;
const ELEMENTS = ["Action", "Condition", "Effect", "NotAction", "NotResource", "Resource", "Sid"];

function parseStatement(statement: unknown, name: string, hasVariables: boolean, fail: Fail): Statement {
  if (!isRecord(statement)) throw fail("A statement must be a map");
  if ("Principal" in statement || "NotPrincipal" in statement) {
    throw fail("`Principal` belongs in the policy of a resource, which is not supported");
  }
  const unknown = Object.keys(statement).find((key) => !ELEMENTS.includes(key));
  if (unknown !== undefined) throw fail(`Unknown element \`${unknown}\``);
  const { Effect: effect, Condition: condition = {} } = statement;
  if (effect !== "Allow" && effect !== "Deny") throw fail("`Effect` must be Allow or Deny");
  const variable = hasVariables ? /\$\{[^}]*\}/.exec(JSON.stringify(statement))?.[0] : undefined;
  if (variable !== undefined)
    throw fail(`The policy variable \`${variable}\` is not supported on this machine`);
  const actions = patternsOf(statement, "Action", fail);
  const resources = patternsOf(statement, "Resource", fail);
  const action = actions.patterns.find((each) => each !== "*" && !/^[\w-]+:[\w*?]+$/.test(each));
  if (action !== undefined) throw fail(`Invalid action \`${action}\`; expected \`service:Action\` or \`*\``);
  const resource = resources.patterns.find(
    (each) => !/^(?:arn:|[*?])/.test(each) && !each.startsWith(NOT_RUN),
  );
  if (resource !== undefined) throw fail(`Invalid resource \`${resource}\`; expected an ARN or \`*\``);
  const conditions = parseConditions(condition);
  if (typeof conditions === "string") throw fail(conditions);
  const lowerCase = actions.patterns.map((each) => each.toLowerCase());
  return {
    ...{ name, effect, conditions },
    matchesAction: (each) =>
      lowerCase.some((pattern) => matchesWildcards(pattern, each.toLowerCase())) !== actions.negated,
    matchesResource: (arn) =>
      resources.patterns.some((pattern) => matchesResource(pattern, arn)) !== resources.negated,
  };
}

/** Returns the values of `Action` or `NotAction`, or of `Resource` or `NotResource`. */
function patternsOf(
  statement: { readonly [name: string]: unknown },
  name: "Action" | "Resource",
  fail: Fail,
): { readonly patterns: readonly string[]; readonly negated: boolean } {
  const negated = `Not${name}` in statement;
  if (negated === name in statement) throw fail(`A statement needs either \`${name}\` or \`Not${name}\``);
  const value = statement[negated ? `Not${name}` : name];
  const patterns: readonly unknown[] = Array.isArray(value) ? value : [value];
  const isTexts = (list: readonly unknown[]): list is readonly string[] =>
    list.length > 0 && list.every((each) => typeof each === "string" && each !== "");
  if (!isTexts(patterns)) throw fail(`\`${negated ? "Not" : ""}${name}\` must be a text or a list of texts`);
  return { patterns, negated };
}
