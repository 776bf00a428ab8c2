import { TemplateError } from "../errors.ts";
import { isMap, type Value } from "../template/parse-text.ts";
import type { ResolvedResource, ResolvedTemplate } from "../template/resolve-template.ts";
import { MANAGED_POLICIES } from "./managed-policies.ts";
import { type Policy, parsePolicy } from "./policy.ts";

const AWS_POLICY = "arn:aws:iam::aws:policy/";
/** Their `Roles`, or `RoleName`, attaches a policy to roles. */
const ATTACHED = ["AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::RolePolicy"];

/**
 * Returns the policies of roles of a stack, by the role's name: inline, attached by another resource, and managed.
 * @param roleNames default: all. Other roles may have policies that cannot be evaluated
 * @throws {TemplateError} POLICY_INVALID, which names the resource and the statement
 */
export function readRolePolicies(
  { file, resources }: ResolvedTemplate,
  roleNames?: readonly string[],
): ReadonlyMap<string, readonly Policy[]> {
  const roles = new Map<string, Policy[]>();
  const managed = new Map<string, ResolvedResource>();
  const wanted = resources.filter(
    ({ type, ref }) => type === "AWS::IAM::Role" && (roleNames?.includes(ref) ?? true),
  );
  const parse = (document: Value | undefined, name: Value | undefined, owner: ResolvedResource): Policy =>
    parsePolicy(document, typeof name === "string" ? name : owner.logicalId, placeOf(owner));
  const placeOf = ({ logicalId, line }: ResolvedResource) => ({ file, resource: logicalId, line });
  for (const resource of wanted) {
    if (resource.properties.PermissionsBoundary !== undefined) {
      const message = "`PermissionsBoundary` is not supported on this machine";
      throw new TemplateError("POLICY_INVALID", message, placeOf(resource));
    }
    const inline = listOf(resource.properties.Policies).map((each) =>
      isMap(each)
        ? parse(each.PolicyDocument, each.PolicyName, resource)
        : parse(undefined, undefined, resource),
    );
    roles.set(resource.ref, inline);
  }
  for (const resource of resources.filter(({ type }) => ATTACHED.includes(type))) {
    const { Roles, RoleName } = resource.properties;
    if (resource.type === "AWS::IAM::ManagedPolicy") managed.set(resource.ref, resource);
    for (const role of listOf(Roles ?? RoleName)) roles.get(String(role))?.push(parseAttached(resource));
  }
  for (const resource of wanted) {
    for (const arn of listOf(resource.properties.ManagedPolicyArns)) {
      const own = managed.get(String(arn));
      roles.get(resource.ref)!.push(own ? parseAttached(own) : awsPolicy(String(arn), resource));
    }
  }
  return roles;

  function parseAttached(resource: ResolvedResource): Policy {
    const { PolicyDocument, PolicyName, ManagedPolicyName } = resource.properties;
    return parse(PolicyDocument, PolicyName ?? ManagedPolicyName, resource);
  }

  function awsPolicy(arn: string, role: ResolvedResource): Policy {
    const name = arn.startsWith(AWS_POLICY) ? arn.slice(AWS_POLICY.length) : "";
    const document = MANAGED_POLICIES.get(name);
    if (document !== undefined) return parsePolicy(document, name, placeOf(role));
    const known = [...MANAGED_POLICIES.keys()].join(", ");
    const message = `The managed policy ${arn} is not known on this machine; AWS's policies known here are ${known}`;
    throw new TemplateError("POLICY_INVALID", message, placeOf(role));
  }
}

function listOf(value: Value | undefined): readonly Value[] {
  return value === undefined ? [] : ([value].flat() as readonly Value[]);
}
