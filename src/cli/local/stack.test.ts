import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readStackWith } from "../../../test/support/read-stack.ts";
import { readLimits } from "./api.ts";
import { Callers } from "./roles.ts";
import { readStack, stackNameOf } from "./stack.ts";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lift-ws-stack-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

/** The lines of a template with an API whose messages a function handles. */
const TEMPLATE = `Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { ProtocolType: WEBSOCKET }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: live }
  Role:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyName: Log
          PolicyDocument: { Statement: [{ Effect: Allow, Action: 'logs:*', Resource: '*' }] }
  Echo:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: nodejs24.x
      Role: !GetAtt Role.Arn
      Code: { ZipFile: 'exports.handler = async () => ({ statusCode: 200 });' }
`;

function read(template: string) {
  const file = join(folder, "chat.yaml");
  writeFileSync(file, template);
  return readStack({ file, stackName: "chat", region: "eu-west-1", parameters: {} });
}

it("reads the API, its stage and the functions with their code and policies", () => {
  const { api, stage, functions, notRun } = read(TEMPLATE);
  expect([api.logicalId, stage.ref]).toEqual(["Api", "live"]);
  expect(functions).toMatchObject([{ code: { kind: "inline" }, policies: [{ name: "Log" }] }]);
  expect(functions[0]!.resource.attributes.Arn).toBe(
    "arn:aws:lambda:eu-west-1:000000000000:function:chat-Echo",
  );
  expect([...notRun]).toEqual([]);
});

it("lists what does not run, by type", () => {
  const { notRun } = read(`${TEMPLATE}  A:\n    Type: AWS::SNS::Topic\n  B:\n    Type: AWS::SNS::Topic\n`);
  expect([...notRun]).toEqual([["AWS::SNS::Topic", ["A", "B"]]]);
});

it("lists shorter time limits of integrations, because the gateway has one for all", () => {
  const integration = (ms: number) =>
    `  A${ms}: { Type: AWS::ApiGatewayV2::Integration, Properties: { ApiId: !Ref Api, TimeoutInMillis: ${ms} } }\n`;
  const stack = read(TEMPLATE + integration(5_000) + integration(9_000));
  expect(readLimits(stack)).toEqual({ integrationTimeoutMs: 9_000 });
  expect([...stack.notRun]).toEqual([["a time limit of 5000 ms, here 9000", ["A5000"]]]);
});

it("lists functions that do not run here, whatever their code and role", () => {
  const other = (name: string, properties: string) =>
    `  ${name}: { Type: AWS::Lambda::Function, Properties: { ${properties}, Role: arn:aws:iam::1:role/other } }\n`;
  const { functions, notRun } = read(
    `${TEMPLATE}${other("Py", "Runtime: python3.13, Code: { S3Bucket: b, S3Key: k.zip }")}${other(
      "Image",
      "PackageType: Image, Code: { ImageUri: i }",
    )}${other("Layered", "Runtime: nodejs22.x, Layers: [l], Code: { S3Bucket: b, S3Key: k.zip }")}`,
  );
  expect(functions.map(({ resource }) => resource.logicalId)).toEqual(["Echo"]);
  expect(Object.fromEntries(notRun)).toEqual({
    "a function on python3.13": ["Py"],
    "a function in a container image": ["Image"],
    "a function with layers": ["Layered"],
  });
});

it("reads the properties of a function up to Lambda's limits", () => {
  const value = "a".repeat(4_087);
  const variables = `Environment: { Variables: { AB: ${value} } }`;
  const { functions } = read(
    `${TEMPLATE}      Timeout: '900'\n      MemorySize: 10240\n      ${variables}\n`,
  );
  expect(functions[0]!.settings).toEqual({
    ...{ handler: "index.handler", timeoutMs: 900_000, memoryMB: 10_240, concurrency: undefined },
    variables: { AB: value },
  });
});

it("lists a number of a resource that does not run, and takes the default", () => {
  const custom = "  Custom: { Type: Custom::Limits, Properties: {} }\n";
  const { functions, notRun } = read(`${TEMPLATE}      Timeout: !GetAtt Custom.Seconds\n${custom}`);
  expect(functions[0]!.settings.timeoutMs).toBe(3_000);
  expect(notRun.get("`Timeout` of a resource that does not run, here the default")).toEqual(["Echo"]);
});

it("runs a function with an empty list of layers", () => {
  expect(read(`${TEMPLATE}      Layers: []\n`).functions).toHaveLength(1);
});

it("knows no policies of a role of another stack, even with a name in the template, and allows its calls", () => {
  const other = "arn:aws:iam::1:role/service/chat-Role";
  const stack = read(TEMPLATE.replace("!GetAtt Role.Arn", other));
  expect(stack.functions).toMatchObject([{ roleName: "chat-Role", policies: undefined }]);
  const [{ accessKeyId } = { accessKeyId: "" }] = new Callers(stack).all;
  const request = { action: "dynamodb:PutItem", resource: "arn:aws:dynamodb:eu-west-1:1:table/t" };
  expect(new Callers(stack).decide(accessKeyId, request)).toEqual({ allowed: true });
  const own = new Callers(read(TEMPLATE));
  expect(own.decide(own.all[0]!.accessKeyId, request)).toMatchObject({ allowed: false });
});

it("does not read the policies of roles that no function has", () => {
  const role =
    "  Tasks: { Type: AWS::IAM::Role, Properties: { ManagedPolicyArns: [arn:aws:iam::aws:policy/Odd] } }\n";
  const policy =
    "  Odd: { Type: AWS::IAM::Policy, Properties: { PolicyName: odd, Roles: [!Ref Tasks], PolicyDocument: {} } }\n";
  expect(read(TEMPLATE + role + policy).functions).toMatchObject([{ policies: [{ name: "Log" }] }]);
});

describe("a template that cannot run", () => {
  it.each([
    ["no WebSocket API", "WEBSOCKET", "HTTP", /chat\.yaml: The template has no WebSocket API/],
    [
      "no stage",
      "AWS::ApiGatewayV2::Stage",
      "AWS::SNS::Topic",
      /chat\.yaml:2: Api: The WebSocket API has no stage/,
    ],
    [
      "an import",
      "StageName: live",
      "StageName: !ImportValue stage",
      /chat\.yaml:7: Stage: No value is given for the import `stage`/,
    ],
    [
      "no asset",
      /\{ ZipFile.*\}/,
      "{ S3Bucket: b, S3Key: k.zip }",
      /chat\.yaml:14: Echo: The code b\/k\.zip is not on this machine/,
    ],
    ["an end in the middle", / {2}Echo:[\s\S]*/, "  Echo: [", /chat\.yaml:\d+: Invalid YAML/],
    [
      "an unknown function",
      "!GetAtt Role.Arn",
      "!Frobnicate Role",
      /chat\.yaml:18: Echo: Unknown function `Fn::Frobnicate`/,
    ],
    [
      "a cycle",
      "{ ProtocolType: WEBSOCKET }",
      "{ ProtocolType: WEBSOCKET, Name: !Ref Stage }",
      /Api.*Stage|Stage.*Api/,
    ],
    [
      "a policy that cannot be decided",
      "Effect: Allow",
      "Effect: Maybe",
      /chat\.yaml:\d+: Role: Policy Log: /,
    ],
    ["no role", / {6}Role: .*\n/, "", /chat\.yaml:14: Echo: The function has no `Role`/],
  ])("has %s", (_, part, replacement, message) => {
    const template = TEMPLATE.replace(part, replacement);
    expect(template).not.toBe(TEMPLATE);
    expect(() => read(template)).toThrow(
      expect.objectContaining({ code: "FAILED", message: expect.stringMatching(message) }),
    );
  });

  const CODE = "Code: { ZipFile";
  it.each([
    ["Timeout: 0", "`Timeout` must be a whole number from 1 to 900; got 0"],
    ["Timeout: 901", "`Timeout` must be a whole number from 1 to 900; got 901"],
    ["Timeout: -1", "`Timeout` must be a whole number from 1 to 900; got -1"],
    ["Timeout: abc", '`Timeout` must be a whole number from 1 to 900; got "abc"'],
    ["MemorySize: 0", "`MemorySize` must be a whole number from 128 to 10240; got 0"],
    ["MemorySize: 64", "`MemorySize` must be a whole number from 128 to 10240; got 64"],
    ["MemorySize: 129.5", "`MemorySize` must be a whole number from 128 to 10240; got 129.5"],
    ["MemorySize: abc", '`MemorySize` must be a whole number from 128 to 10240; got "abc"'],
    [
      "ReservedConcurrentExecutions: -1",
      "`ReservedConcurrentExecutions` must be a whole number of 0 or more",
    ],
    [
      "ReservedConcurrentExecutions: 1.5",
      "`ReservedConcurrentExecutions` must be a whole number of 0 or more",
    ],
    [
      "ReservedConcurrentExecutions: {}",
      "`ReservedConcurrentExecutions` must be a whole number of 0 or more",
    ],
    ["Handler: ''", '`Handler` must be 1 to 128 characters without spaces; got ""'],
    ["Handler: a b", '`Handler` must be 1 to 128 characters without spaces; got "a b"'],
    ["FunctionName: a b", 'The function name "a b" must have 1 to 64 letters, digits, - and _'],
    ["FunctionName: a/../b", 'The function name "a/../b" must have 1 to 64'],
    [`FunctionName: ${"a".repeat(65)}`, "The function name "],
    ["Environment: abc", "`Environment` must be a map"],
    ["Environment: { Variables: abc }", "`Environment.Variables` must be a map"],
    ["Environment: { Variables: [abc] }", "`Environment.Variables` must be a map"],
    ["Environment: { Variables: { AB: [a] } }", "The variable `AB` must be a text; got a list"],
    ["Environment: { Variables: { AB: { a: b } } }", "The variable `AB` must be a text; got a map"],
    [
      "Environment: { Variables: { 1-A: b } }",
      'The name of the variable "1-A" must have two or more letters',
    ],
    ["Environment: { Variables: { A: b } }", 'The name of the variable "A" must have two or more letters'],
    ["Environment: { Variables: { AWS_REGION: b } }", "The variable `AWS_REGION` is reserved by Lambda"],
    ['Environment: { Variables: { AB: "a\\0b" } }', "The variable `AB` has a NUL character"],
    [
      `Environment: { Variables: { AB: ${"a".repeat(4_088)} } }`,
      "The variables have 4097 bytes as JSON; Lambda's limit is 4096",
    ],
  ])("has a function with %s", (properties, message) => {
    expect(() => read(TEMPLATE.replace(CODE, `${properties}\n      ${CODE}`))).toThrow(
      expect.objectContaining({
        code: "FAILED",
        message: expect.stringContaining(`chat.yaml:14: Echo: ${message}`),
      }),
    );
  });

  it.each([
    ["the name of a role", "!Ref Role", '"chat-Role"; use !GetAtt Role.Arn'],
    ["another name", "teams/shared", '"teams/shared"'],
    [
      "the name of a role under another path",
      "!Sub 'arn:aws:iam::${AWS::AccountId}:role/a/${Role}'",
      '"arn:aws:iam::000000000000:role/a/chat-Role"; use !GetAtt Role.Arn',
    ],
    ["the ARN of something else", "arn:aws:iam::1:user/ada", '"arn:aws:iam::1:user/ada"'],
    ["a list", "[a]", '["a"]'],
  ])("has a function with %s in place of a role's ARN", (_, role, got) => {
    expect(() => read(TEMPLATE.replace("!GetAtt Role.Arn", role))).toThrow(
      `chat.yaml:14: Echo: \`Role\` must be the ARN of a role; got ${got}`,
    );
  });

  it.each([
    [
      "functions",
      "AWS::Lambda::Function",
      "Runtime: python3.13, FunctionName",
      "lambda:eu-west-1:000000000000:function:one",
    ],
    ["tables", "AWS::DynamoDB::Table", "TableName", "dynamodb:eu-west-1:000000000000:table/one"],
    ["roles", "AWS::IAM::Role", "RoleName", "iam::000000000000:role/one"],
  ])("has two %s with one name", (_, type, property, arn) => {
    const resource = (id: string) => `  ${id}: { Type: ${type}, Properties: { ${property}: one } }\n`;
    expect(() => read(TEMPLATE + resource("First") + resource("Second"))).toThrow(
      `chat.yaml:21: Second: \`First\` has the same name: arn:aws:${arn}`,
    );
  });

  it("does not exist", () => {
    const file = join(folder, "nowhere.json");
    expect(() => readStack({ file, stackName: "s", region: "r", parameters: {} })).toThrow(
      expect.objectContaining({ code: "USAGE", message: expect.stringContaining("nowhere.json") }),
    );
  });
});

it.each([
  ["cdk.out/Chat.template.json", "Chat"],
  ["my_app.yaml", "my-app"],
  ["1.yml", "stack"],
])("names the stack of %s %s", (file, name) => expect(stackNameOf(file)).toBe(name));

it.each([
  ["AWS::CloudWatch::Alarm", "Dimensions", "a list of maps"],
  ["AWS::DynamoDB::GlobalTable", "LocalSecondaryIndexes", "a list of maps"],
  ["AWS::DynamoDB::Table", "AttributeDefinitions", "a list of maps"],
  ["AWS::DynamoDB::Table", "GlobalSecondaryIndexes", "a list of maps"],
  ["AWS::DynamoDB::Table", "KeySchema", "a list of maps"],
  ["AWS::DynamoDB::Table", "StreamSpecification", "a map"],
  ["AWS::DynamoDB::Table", "TimeToLiveSpecification", "a map"],
  ["AWS::Events::Rule", "EventPattern", "a map"],
  ["AWS::Events::Rule", "Targets", "a list of maps"],
  ["AWS::Lambda::EventSourceMapping", "DestinationConfig", "a map"],
  ["AWS::Lambda::Url", "Cors", "a map"],
  ["AWS::Scheduler::Schedule", "Target", "a map"],
])("refuses %s whose %s is a text, which would be read as nothing", (type, property, expected) => {
  const read = (value: string) =>
    readStackWith(`  Custom: { Type: Custom::Thing }
  One: { Type: ${type}, Properties: { ${property}: ${value} } }
`);
  expect(() => read("x")).toThrow(`chat.yaml:5: One: \`${property}\` must be ${expected}; got "x"`);
  expect(() => read("[x]")).toThrow(`\`${property}\` must be ${expected}; got ["x"]`);
  expect(() => read("!GetAtt Custom.Value")).not.toThrow();
});
