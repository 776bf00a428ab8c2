import { TemplateError } from "../errors.ts";
import { isMap, type Value } from "../template/parse-text.ts";
import type { ResolvedResource, ResolvedTemplate } from "../template/resolve-template.ts";
import { MANAGED_POLICIES } from "./managed-policies.ts";
import { type Policy, parsePolicy } from "./policy.ts";

const AWS_POLICY = "arn:aws:iam::aws:policy/";
/** Their `Roles`, or `RoleName`, attaches a policy to roles. */
const ATTACHED = ["AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::RolePolicy"];

/**
 * Returns the policies of each role of a stack, by the role's name: inline, attached by another resource, and managed.
 * @throws {TemplateError} POLICY_INVALID, which names the resource and the statement
 */
export function readRolePolicies({
  file,
  resources,
}: ResolvedTemplate): ReadonlyMap<string, readonly Policy[]> {
  const roles = new Map<string, Policy[]>();
  const managed = new Map<string, Policy>();
  const parse = (document: Value | undefined, name: Value | undefined, owner: ResolvedResource): Policy =>
    parsePolicy(document, typeof name === "string" ? name : owner.logicalId, placeOf(owner));
  const placeOf = ({ logicalId, line }: ResolvedResource) => ({ file, resource: logicalId, line });
  for (const resource of resources.filter(({ type }) => type === "AWS::IAM::Role")) {
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
    const { PolicyDocument, PolicyName, ManagedPolicyName, Roles, RoleName } = resource.properties;
    const policy = parse(PolicyDocument, PolicyName ?? ManagedPolicyName, resource);
    if (resource.type === "AWS::IAM::ManagedPolicy") managed.set(resource.ref, policy);
    for (const role of listOf(Roles ?? RoleName)) roles.get(String(role))?.push(policy);
  }
  for (const resource of resources.filter(({ type }) => type === "AWS::IAM::Role")) {
    for (const arn of listOf(resource.properties.ManagedPolicyArns)) {
      const policy = managed.get(String(arn)) ?? awsPolicy(String(arn), resource);
      roles.get(resource.ref)!.push(policy);
    }
  }
  return roles;

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
