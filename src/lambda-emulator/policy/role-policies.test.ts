import { expect, it } from "vitest";
import { readTemplate } from "../template/read-template.ts";
import { resolveTemplate } from "../template/resolve-template.ts";
import { MANAGED_POLICIES } from "./managed-policies.ts";
import { isAllowed, parsePolicy } from "./policy.ts";
import { readRolePolicies } from "./role-policies.ts";

const BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";

function rolesOf(resources: object) {
  const template = readTemplate(JSON.stringify({ Resources: resources }), "t");
  return readRolePolicies(resolveTemplate(template, { stackName: "s" }));
}

const document = (action: string, more: object = {}) => ({
  Version: "2012-10-17",
  Statement: [{ Sid: "S", Effect: "Allow", Action: action, Resource: "*", ...more }],
});
const attach = (type: string, properties: object) => ({ Type: `AWS::IAM::${type}`, Properties: properties });

it("finds the inline, attached and managed policies of each role", () => {
  const roles = rolesOf({
    Role: attach("Role", {
      Policies: [{ PolicyName: "Inline", PolicyDocument: document("a:Inline") }],
      ManagedPolicyArns: [BASIC, { Ref: "Shared" }],
    }),
    Other: attach("Role", { RoleName: "other" }),
    Attached: attach("Policy", {
      PolicyName: "Attached",
      PolicyDocument: document("a:Attached"),
      Roles: [{ Ref: "Role" }, "elsewhere"],
    }),
    RolePolicy: attach("RolePolicy", {
      PolicyName: "Own",
      PolicyDocument: document("a:Own"),
      RoleName: "other",
    }),
    Managed: attach("ManagedPolicy", {
      PolicyDocument: document("a:Managed"),
      Roles: ["other", { Ref: "Role" }],
    }),
    Shared: attach("ManagedPolicy", { ManagedPolicyName: "Shared", PolicyDocument: document("a:Shared") }),
  });
  const names = [...roles].map(([role, policies]) => [role, policies.map(({ name }) => name)]);
  expect(names).toEqual([
    ["s-Role", ["Inline", "Attached", "Managed", "service-role/AWSLambdaBasicExecutionRole", "Shared"]],
    ["other", ["Own", "Managed"]],
  ]);
  const isAllowedTo = (action: string) =>
    isAllowed(roles.get("s-Role")!, { action, resource: "arn:a" }).allowed;
  expect(["a:Inline", "a:Attached", "a:Shared", "logs:PutLogEvents"].map(isAllowedTo)).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(isAllowedTo("a:Own")).toBe(false);
});

it("allows the ARN of a resource that does not run on this machine", () => {
  const resource = { "Fn::GetAtt": ["Stream", "Arn"] };
  const roles = rolesOf({
    Stream: { Type: "AWS::Kinesis::Stream" },
    Role: attach("Role", {
      Policies: [{ PolicyName: "P", PolicyDocument: document("kinesis:PutRecord", { Resource: resource }) }],
    }),
  });
  expect(roles.get("s-Role")).toHaveLength(1);
});

it.each([
  [
    "an unknown managed policy",
    { ManagedPolicyArns: ["arn:aws:iam::aws:policy/AdministratorAccess"] },
    "The managed policy arn:aws:iam::aws:policy/AdministratorAccess is not known on this machine",
  ],
  [
    "a managed policy under another path",
    { ManagedPolicyArns: [BASIC.replace("service-role/", "")] },
    "The managed policy arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole is not known",
  ],
  ["a boundary", { PermissionsBoundary: BASIC }, "`PermissionsBoundary` is not supported on this machine"],
  [
    "a statement that cannot be evaluated",
    { Policies: [{ PolicyName: "P", PolicyDocument: document("a:B", { Condition: { Odd: { a: "b" } } }) }] },
    "Policy P: Statement S: The operator `Odd` cannot be evaluated",
  ],
  ["a policy that is a text", { Policies: ["P"] }, "Policy Role: The document must be a map"],
])("rejects a role with %s", (_name, properties, message) => {
  expect(() => rolesOf({ Role: attach("Role", properties) })).toThrow(`t:1: Role: ${message}`);
  expect(() => rolesOf({ Role: attach("Role", properties) })).toThrow(
    expect.objectContaining({ code: "POLICY_INVALID" }),
  );
});

it("knows AWS's managed policies by valid documents", () => {
  expect(MANAGED_POLICIES.size).toBe(15);
  const policies = [...MANAGED_POLICIES].map(([name, each]) => parsePolicy(each, name, { file: "t" }));
  const allows = (name: string, action: string, resource: string) =>
    isAllowed(
      policies.filter((each) => each.name === name),
      { action, resource },
    ).allowed;
  const table = "arn:aws:dynamodb:eu-west-1:000000000000:table/t";
  expect(allows("AmazonDynamoDBReadOnlyAccess", "dynamodb:DescribeStream", `${table}/stream/1`)).toBe(true);
  expect(allows("AmazonDynamoDBReadOnlyAccess", "dynamodb:PutItem", table)).toBe(false);
  expect(allows("AmazonDynamoDBFullAccess", "dynamodb:PutItem", table)).toBe(true);
  const connections = "arn:aws:execute-api:eu-west-1:000000000000:abc/prod/POST/@connections/id";
  expect(allows("AmazonAPIGatewayInvokeFullAccess", "execute-api:ManageConnections", connections)).toBe(true);
});
